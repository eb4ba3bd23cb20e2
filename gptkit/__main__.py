"""`python -m gptkit`, the same as the command `gptkit`."""

from gptkit.config.main import main

if __name__ == "__main__":
    main()
