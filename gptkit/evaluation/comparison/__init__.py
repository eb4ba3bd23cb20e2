"""The comparison of two results, item by item."""
