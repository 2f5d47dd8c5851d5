"""glo discovers loss functions for neural networks: Genetic Loss-function Optimization (Gonzalez and Miikkulainen 2020).

`import glo` loads neither torch nor numpy; each public name is imported when it is first used.
"""

import lazy_loader as lazy

from glo.version import __version__ as __version__

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
