"""Annotations as people have them: one module a format, in one table, and what they share."""
