"""Evaluation of a model on tasks: requests become tokens, the model answers them, and the scores get intervals."""
