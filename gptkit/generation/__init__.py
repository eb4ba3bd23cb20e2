"""Text generation: sampling, batched decoding with a cache, and streaming."""

from gptkit.generation.engine import generate, stream
from gptkit.generation.text_sequence import Continuation, TextChunk

__all__ = ["Continuation", "TextChunk", "generate", "stream"]
