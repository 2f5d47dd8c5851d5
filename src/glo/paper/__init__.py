"""The experiments of the paper, one file each: the file has the name of the experiment and defines its `EXPERIMENT`."""
