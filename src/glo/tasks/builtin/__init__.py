"""One file for each built-in task: the file's name is the task's, and its `load` makes it."""
