"""The command line `cinderella`."""

import sys

from pipeline import INTERRUPTED, end_in_a_line


def main() -> None:
    """Run a command; importing this package alone loads none of them."""
    sys.excepthook = end_in_a_line
    from pipeline.cli import app

    try:
        app.main()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # which is all that typer says of Ctrl-C
            sys.stderr.write("\ninterrupted\n")
        raise
