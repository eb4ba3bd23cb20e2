"""Checkpoints: written atomically, verified when read, and loaded into models."""
