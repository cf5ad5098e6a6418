"""`python -m eksnet`: the command, where no other form of it is found."""

from eksnet.entry import main

if __name__ == "__main__":
    main()
