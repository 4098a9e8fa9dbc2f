"""The command line `cinderella`."""


def main() -> None:
    """Run a command; importing this package alone loads none of them."""
    from pipeline.cli import app

    app.main()
