"""``python -m clora_core``: the command line."""

import sys

from clora_core.cli.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
