"""Sizes as people ask for them: ratios, steps, centimetres, charts."""
