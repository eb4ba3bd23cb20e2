"""Contamination: which texts of an evaluation occur in the training text of a run.

`gptkit index` builds an index of the word N-grams of a run's training text (`index_builder`). `NgramIndex` reads it and finds the
training documents that share an N-gram with a text.
"""
