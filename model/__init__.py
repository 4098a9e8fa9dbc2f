"""The try-on networks, and the adapter that gives them a sense of size."""
