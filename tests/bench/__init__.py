"""Benchmarks: ``python -m tests.bench`` prints a table. Nothing here is a test; no time is asserted."""
