"""N-grams of words: their hashes, and text without those of evaluation sets."""
