"""Benchmarks, one module each: python -m benchmarks.<name>; the last line that each prints is JSON."""
