"""Callbacks that send a study to TensorBoard, MLflow or Weights & Biases while it runs.

Each library is imported when its callback is made.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
