from .batch import PopulationLoss
from .export import binary_minimum, code, right_minimum, source, to_sympy
from .links import LINKS
from .module import ExpressionLoss

__all__ = ["LINKS", "ExpressionLoss", "PopulationLoss", "binary_minimum", "code", "right_minimum", "source", "to_sympy"]
