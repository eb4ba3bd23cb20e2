"""Sweeps: run jobs as processes, and write a page that compares them."""
