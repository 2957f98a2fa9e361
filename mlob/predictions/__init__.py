"""Predictions: ids x labels on disk, the same whichever branch they came from."""
