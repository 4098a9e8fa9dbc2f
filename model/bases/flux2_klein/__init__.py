"""FLUX.2 klein on stock diffusers classes: one transformer that sees noise, person and garment as tokens."""
