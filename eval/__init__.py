"""Fit metrics, ladders, baselines, image metrics and the report."""
