"""How far a figure can be believed: cross-fitting and intervals over photos."""
