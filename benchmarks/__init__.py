"""Benchmarks: glo compared with code that a user would write without it (`make bench`)."""
