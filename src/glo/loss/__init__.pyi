from .batch import PopulationLoss
from .boosting import BoostingObjective, objective
from .export import binary_minimum, minimised, right_minimum, source, to_sympy
from .links import LINKS
from .module import ExpressionLoss
from .python import code

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
]  # fmt: skip
