from .batch import PopulationLoss
from .boosting import BoostingObjective, objective
from .export import binary_minimum, minimised, right_minimum, source, to_sympy
from .links import LINKS
from .module import ExpressionLoss
from .python import code
from .unit_gradient import unit_factor, unit_gradient

__all__ = [
    "LINKS",
    "BoostingObjective",
    "ExpressionLoss",
    "PopulationLoss",
    "binary_minimum",
    "code",
    "minimised",
    "objective",
    "right_minimum",
    "source",
    "to_sympy",
    "unit_factor",
    "unit_gradient",
]  # fmt: skip
