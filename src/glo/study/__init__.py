"""A study: its configuration, the loop that runs its phases, and the result.  `glo.Study` is the public object."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
