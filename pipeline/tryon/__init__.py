"""Trying a garment on at the sizes that are asked for."""
