"""``python -m reacgan`` and ``torchrun -m reacgan``."""

import sys

if __name__ == "__main__":
    try:
        from reacgan.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
