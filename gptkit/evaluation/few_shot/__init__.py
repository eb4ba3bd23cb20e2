"""Evaluation with a few solved examples: in context, by a linear probe, or by fine-tuning."""
