"""Experiments: comparisons that stand, and the demo."""
