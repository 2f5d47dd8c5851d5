"""One Hypothesis profile for the whole suite: the same examples on every run, and no time limit for one of them."""

from hypothesis import settings

settings.register_profile("glo", derandomize=True, deadline=None)
settings.load_profile("glo")
