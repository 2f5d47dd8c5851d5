"""Training loops and searches as a skilled user would write them without glo: the benchmarks compare it with them."""
