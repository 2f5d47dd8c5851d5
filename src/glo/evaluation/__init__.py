"""Is a candidate worth a training, and what is it worth: checks, funnel, cache, trainings."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
