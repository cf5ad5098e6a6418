"""`python -m eksnet.cli` is the command, too."""

from eksnet.cli import main

if __name__ == "__main__":
    main()
