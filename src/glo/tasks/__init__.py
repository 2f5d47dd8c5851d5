"""Tasks: a model, its data and a metric; built in or the user's own.

Each name is imported when it is first used, so that the built-in tasks can be listed without PyTorch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
