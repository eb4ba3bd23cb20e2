"""Tokenisation of documents to shards on disk, and the stream of tokens that is read from shards."""
