"""Training on features."""
