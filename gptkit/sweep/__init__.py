"""Sweeps: jobs as processes, and the page that compares them."""
