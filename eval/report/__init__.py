"""What an evaluation writes: figures, plots, the page and the card."""
