"""Training samples as WebDataset shards, and the stream that reads them in an exact order."""
