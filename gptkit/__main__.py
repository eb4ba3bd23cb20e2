"""Runs the command line for `python -m gptkit`, which is the same as `gptkit`."""

from gptkit.config.main import main

if __name__ == "__main__":
    main()
