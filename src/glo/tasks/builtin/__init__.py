"""The built-in tasks, one file each: a function `load` makes the task, which is named after the file.

`load` imports PyTorch, scikit-learn and the rest itself, so that `glo tasks` can read its options and its docstring quickly.
"""
