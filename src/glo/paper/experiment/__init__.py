"""Shared by the experiments of the paper: definition, context, measurements and searches."""
