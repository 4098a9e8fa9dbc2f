"""A photo made ready for try-on, and what is said of the fit."""
