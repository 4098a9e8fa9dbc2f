"""The same architecture small enough to train on a CPU."""
