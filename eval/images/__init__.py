"""Image metrics: similarity to the true picture and distances of distributions."""
