"""``python -m reacgan`` and ``torchrun -m reacgan``."""

from reacgan.cli import main

if __name__ == "__main__":
    main()
