"""Decoding apart from the model: sampling, batched generation with a cache, text as it comes."""

from gptkit.generation.engine import Continuation, Piece, generate, stream

__all__ = ["Continuation", "Piece", "generate", "stream"]
