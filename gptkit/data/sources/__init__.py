"""The data sources, one per module. Their configs are in `gptkit.data`."""
