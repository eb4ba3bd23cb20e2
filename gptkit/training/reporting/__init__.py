"""Writes the reports of a run: metrics, samples, speed, summary and report."""
