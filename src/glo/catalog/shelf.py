"""The shelf: published losses, with a short grid for their parameters.

What a discovered loss has to beat is not cross-entropy alone, but the best of what an expert would try.  Each entry is a
formula of f(x, y), which is maximised, and the values that are tried; a comparison chooses one on validation.  A constant
factor may be left out, since every loss has its own learning rate.

To add a loss, add an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from glo.catalog import (
    CONFIDENCE_PENALTY,
    FOCAL,
    GENERALISED_CROSS_ENTROPY,
    resolve,
    smoothed_binary_cross_entropy,
    smoothed_cross_entropy,
)
from glo.expr import Expr, parse

SMOOTHINGS = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)


@dataclass(frozen=True)
class Known:
    """A published loss.

    Attributes:
        name: in tables.
        formula: f(x, y), with the parameters in braces.
        source: where it is from.
        grid: the values of the parameters that are tried, one tuple for each try; a single empty one without parameters.
        parameters: their names, in the order of the values.
    """

    name: str
    formula: str
    source: str
    parameters: tuple[str, ...] = ()
    grid: tuple[tuple[float, ...], ...] = ((),)

    @property
    def uses_prior(self) -> bool:
        """Whether the loss depends on the shares of the classes."""
        return "prior" in self.formula

    @property
    def tries(self) -> str:
        """The values of the grid in words: "q = 0.3, 0.5" or "(a, q) = (1, 2), (6, 1.5)"."""
        if len(self.parameters) == 1:
            return f"{self.parameters[0]} = {', '.join(f'{value:g}' for (value,) in self.grid)}"
        values = ", ".join(f"({', '.join(f'{value:g}' for value in values)})" for values in self.grid)
        return f"({', '.join(self.parameters)}) = {values}" if self.parameters else "none"

    def variants(self) -> dict[str, Expr]:
        """An expression for each try, by the values of its parameters, such as "q=0.7"."""
        found: dict[str, Expr] = {}
        for values in self.grid:
            given = {name: f"{value:g}" for name, value in zip(self.parameters, values, strict=True)}
            name = ", ".join(f"{parameter}={value}" for parameter, value in given.items())
            found[name] = parse(self.formula.format_map(given))
        return found


def _one(*values: float) -> tuple[tuple[float, ...], ...]:
    """The grid of a single parameter."""
    return tuple((value,) for value in values)


SOFTMAX = (
    Known("cross_entropy", "x*log(y)", "maximum likelihood"),
    Known("focal", FOCAL, "Lin et al. 2017", ("g",), _one(0.5, 1, 2, 5)),
    Known("gce", GENERALISED_CROSS_ENTROPY, "Zhang and Sabuncu 2018", ("q",), _one(0.3, 0.5, 0.7, 0.9)),
    Known("sce", "{a}*x*log(y) + x*y", "Wang et al. 2019", ("a",), _one(0.01, 0.1, 1)),
    Known("mae", "x*y", "Ghosh et al. 2017"),
    Known("brier", "-square(x - y)", "Brier 1950"),
    Known("amse", "-square({a}*x - y)", "Wang et al. 2025", ("a",), _one(2, 5, 20)),
    Known("agce", "x*({a} + y)**{q}/{q}", "Zhou et al. 2021", ("a", "q"), ((0.6, 0.6), (1, 2), (6, 1.5))),
    Known("aue", "-x*({a} - y)**{q}/{q}", "Zhou et al. 2021", ("a", "q"), ((1.5, 0.9), (3, 0.1), (5.5, 3))),
    Known("aexp", "-x*exp(-y/{a})", "Zhou et al. 2021", ("a",), _one(0.2, 0.5, 1, 2.5)),
    Known("poly1", "x*(log(y) + {e}*y)", "Leng et al. 2022", ("e",), _one(-0.5, 1, 2, 5, 10)),
    Known("taylor_ce2", "-x*((1 - y) + square(1 - y)/2)", "Feng et al. 2020, order 2"),
    Known("taylor_ce4", "-x*((1 - y) + square(1 - y)/2 + (1 - y)**3/3 + (1 - y)**4/4)", "Feng et al. 2020, order 4"),
    Known("confidence_penalty", CONFIDENCE_PENALTY, "Pereyra et al. 2017", ("b",), _one(0.1, 0.3, 1, 2)),
    Known("class_balanced", "x*log(y)/prior**{g}", "inverse class frequency", ("g",), _one(0.25, 0.5, 1, 1.5, 2)),
)
SIGMOID = (
    Known("binary_cross_entropy", "x*log(y) + (1 - x)*log(1 - y)", "maximum likelihood"),
    Known("pos_weight", "{w}*x*log(y) + (1 - x)*log(1 - y)", "weighted likelihood", ("w",), _one(0.3, 3, 10, 30)),
    Known("focal", "x*(1 - y)**{g}*log(y) + (1 - x)*y**{g}*log(1 - y)", "Lin et al. 2017", ("g",), _one(0.5, 1, 2, 5)),
    Known(
        "asl",
        "x*(1 - y)**{g}*log(y) + (1 - x)*max(y - {m}, 0)**{h}*log(1 - max(y - {m}, 0))",
        "Ridnik et al. 2021",
        ("g", "h", "m"),
        ((0, 2, 0.05), (0, 4, 0.05), (1, 4, 0.05)),
    ),
    Known("gce", "(x*y**{q} + (1 - x)*(1 - y)**{q})/{q}", "Zhang and Sabuncu 2018", ("q",), _one(0.3, 0.5, 0.7, 0.9)),
    Known("brier", "-square(x - y)", "Brier 1950"),
    Known("mae", "-abs(x - y)", "Ghosh et al. 2017"),
)
IDENTITY = (
    Known("mse", "-square(x - y)", "least squares"),
    Known("mae", "-abs(x - y)", "least absolute deviations"),
    Known(
        "huber", "-min(abs(x - y), {d})*(2*abs(x - y) - min(abs(x - y), {d}))", "Huber 1964", ("d",), _one(0.1, 0.3, 1, 3)
    ),
    Known("cauchy", "-log(1 + square((x - y)/{c}))", "Black and Anandan 1996", ("c",), _one(0.3, 1, 3)),
    Known("welsch", "exp(-square((x - y)/{c})/2)", "Dennis and Welsch 1978", ("c",), _one(0.3, 1, 3)),
    Known("log_cosh", "-abs(x - y) - log(1 + exp(-2*abs(x - y)))", "log(cosh(x - y)), up to a constant"),
    Known("pinball", "-max({q}*(x - y), ({q} - 1)*(x - y))", "Koenker and Bassett 1978", ("q",), _one(0.3, 0.4, 0.6, 0.7)),
)
IMBALANCED = 2.0  # how many times as many labels the largest class has as the smallest, for losses with a prior
SHELF: dict[str, tuple[Known, ...]] = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "identity": IDENTITY}


def shelf(
    link: str, classes: int, smoothings: Sequence[float] = SMOOTHINGS, prior: Sequence[float] = ()
) -> dict[str, Mapping[str, Expr]]:
    """The families of the shelf for a link, the standard loss first, each as expressions by the values of its parameters.

    Args:
        link: "softmax", "sigmoid" or "identity".
        classes: number of classes, for label smoothing.
        smoothings: amounts of label smoothing; not for the identity link.
        prior: the share of each class in the training labels.  Losses that use it are on the shelf if the classes differ:
            else they are the loss without it.
    """
    differ = bool(prior) and min(prior) > 0 and max(prior) >= IMBALANCED * min(prior)
    families: dict[str, Mapping[str, Expr]] = {
        known.name: known.variants() for known in SHELF[link] if differ or not known.uses_prior
    }
    if link == "identity" or not smoothings:
        return families
    smoothed = {
        f"{amount:g}": smoothed_cross_entropy(amount, classes)
        if link == "softmax"
        else smoothed_binary_cross_entropy(amount)
        for amount in smoothings
    }
    (first, standard), *others = families.items()
    return {first: standard, "label_smoothing": smoothed, **dict(others)}


def start_expressions(
    given: Sequence[str | Expr],
    link: str,
    classes: int,
    prior: Sequence[float] = (),
    allowed: Callable[[Expr], bool] = lambda loss: True,
) -> list[Expr]:
    """The losses that a search starts from, each once.

    Args:
        given: "shelf" for all losses of the shelf; the name of one of its families, such as "gce", for its tries; the name
            of another loss; or an expression.
        link, classes, prior: as for `shelf`.
        allowed: whether a loss of the shelf or of a family is one of them; if it allows none of a family, all are.

    Raises:
        ExpressionError: as `glo.catalog.resolve` does.
    """
    families = shelf(link, max(2, classes), prior=prior)
    found: dict[Expr, None] = {}
    for each in given:
        if each == "shelf":
            found |= dict.fromkeys(loss for family in families.values() for loss in family.values() if allowed(loss))
        elif isinstance(each, str) and each.strip() in families:
            family = families[each.strip()].values()
            found |= dict.fromkeys(list(filter(allowed, family)) or family)
        else:
            found[resolve(each)] = None
    return list(found)
