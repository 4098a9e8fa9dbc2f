"""Data sets: one module each, all yielding `SourceSample`."""
