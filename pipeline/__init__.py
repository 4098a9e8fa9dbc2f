"""The DVC stages, the `cinderella` command and the demo. Nothing imports this package."""
