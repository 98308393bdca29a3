"""The one entry for people and CI: sets up what is needed, then runs demo, up, test, bench or check.

Only the standard library, so that it runs before anything is installed.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one must be told, not shown a traceback
    print(
        f"Python {sys.version_info[0]}.{sys.version_info[1]} is too old: this needs 3.11, 3.12 or 3.13. "
        "Install one from python.org, then: python3.11 dev.py demo (on Windows: py -3.11 dev.py demo)",
        file=sys.stderr,
    )
    sys.exit(2)

from tools.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
