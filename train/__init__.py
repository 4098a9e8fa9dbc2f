"""Losses, state and the loop that train the networks."""
