"""The command line: one file for each command.  Whatever is slow to import is imported inside the commands."""
