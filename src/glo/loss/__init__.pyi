from .batch import PopulationLoss
from .export import binary_minimum, right_minimum, source, to_sympy
from .links import LINKS
from .module import ExpressionLoss
from .python import code

__all__ = ["LINKS", "ExpressionLoss", "PopulationLoss", "binary_minimum", "code", "right_minimum", "source", "to_sympy"]
