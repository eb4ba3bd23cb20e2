"""Checkpoints: written whole or not at all, checked when read, and loaded back into models."""
