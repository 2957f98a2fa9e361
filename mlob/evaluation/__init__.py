"""How far a figure can be believed: arrays in, figures out; nothing here knows a file."""
