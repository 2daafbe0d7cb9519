"""Measures what the performance claims say. ``python -m benchmarks`` prints the tables."""
