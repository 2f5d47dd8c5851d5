"""One file for each experiment: the file's name is the experiment's, and its `EXPERIMENT` says what it is."""
