"""``python -m clora_core``: the command line, as ``clora`` where the package is installed."""

import sys

from clora_core.cli.commands import main

if __name__ == "__main__":
    sys.exit(main())
