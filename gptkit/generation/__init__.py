"""Text generation: sampling, batched decoding with a cache, and streaming."""

from gptkit.generation.engine import Continuation, TextChunk, generate, stream

__all__ = ["Continuation", "TextChunk", "generate", "stream"]
