"""Decoding apart from the model: sampling, batched generation with a cache, text as it comes."""

from gptkit.generation.engine import Continuation, TextChunk, generate, stream

__all__ = ["Continuation", "TextChunk", "generate", "stream"]
