"""Losses made of expressions: as a module, for a whole population, and as source code.

The names are imported when first used: `from glo.loss import source` imports no torch.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
