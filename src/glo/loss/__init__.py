"""Losses made of expressions: as a module, for a whole population, and as source code."""

from glo.loss.batch import PopulationLoss
from glo.loss.export import binary_minimum, code, right_minimum, source, to_sympy
from glo.loss.links import LINKS
from glo.loss.module import ExpressionLoss

__all__ = ["LINKS", "ExpressionLoss", "PopulationLoss", "binary_minimum", "code", "right_minimum", "source", "to_sympy"]
