"""Benchmarks: glo beside what a user would write.  `make bench`."""
