"""The evidence suite: is a loss that a search finds better than all known ones, and how soon is it found?

`python -m benchmarks.evidence` runs ten problems and the time to quality, and goes on where it stopped; docs/evidence.md is
made of what it writes.
"""
