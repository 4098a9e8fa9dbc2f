"""Fit ladders: the same person at rising sizes, measured again."""
