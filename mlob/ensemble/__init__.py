"""Several members' probabilities made one, and probabilities made decisions."""
