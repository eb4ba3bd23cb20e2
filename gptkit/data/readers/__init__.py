"""From `data.path` to documents and rows: file discovery, hashes, decompression, and one reader per file format."""
