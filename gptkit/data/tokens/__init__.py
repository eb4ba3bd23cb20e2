"""From documents to token ids on disk, and from there to one stream of tokens."""
