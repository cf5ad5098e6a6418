"""`python -m eksnet.cli` is the command, too."""

from eksnet.cli import main

main()
