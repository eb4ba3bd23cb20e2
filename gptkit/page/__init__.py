"""Self-contained HTML pages: their skeleton, style, tables and charts. Runs, sweeps and evaluations fill them."""
