from .batch import PopulationLoss
from .boosting import BoostingObjective, objective
from .export import binary_minimum, minimised, right_minimum, source, to_sympy
from .links import LINKS
from .module import ExpressionLoss
from .prior import check_prior, prior_of_loss, why_no_prior
from .python import code
from .unit_gradient import unit_factor, unit_gradient

__all__ = [
    "LINKS",
    "BoostingObjective",
    "ExpressionLoss",
    "PopulationLoss",
    "binary_minimum",
    "check_prior",
    "code",
    "minimised",
    "objective",
    "prior_of_loss",
    "right_minimum",
    "source",
    "to_sympy",
    "unit_factor",
    "unit_gradient",
    "why_no_prior",
]  # fmt: skip
