"""The region that a garment covers at a size that is asked for."""
