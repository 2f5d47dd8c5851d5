"""Is a discovered loss better than everything that an expert would try?  Ten problems, judged as a user's would be.

    python -m benchmarks.evidence [--scale small] [--only NAME ...] [--out FOLDER]

Each problem is one default search with its verdict against the whole shelf.  A second part compares the default with the one
before unit gradient and racing: the seconds and steps until the same test accuracy.  What is measured is kept in the
folder, so a run that was interrupted goes on where it was.  docs/evidence.md is written from the JSON.
"""
