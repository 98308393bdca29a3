"""`python -m worker.fake`."""

import sys

from worker.fake.cli import main

if __name__ == "__main__":
    sys.exit(main())
