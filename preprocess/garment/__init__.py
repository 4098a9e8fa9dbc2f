"""The worn garment: its mask, panel, measures and ratios."""
