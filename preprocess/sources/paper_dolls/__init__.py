"""People and garments of known size, drawn in VITON-HD's layout."""
