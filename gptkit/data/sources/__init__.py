"""One file per data source; the settings of all of them are in `gptkit.data`."""
