"""Models that leave mlob: one file from a photo to probabilities, checked, with what is known about it beside it."""
