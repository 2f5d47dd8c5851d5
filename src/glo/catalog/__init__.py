"""Losses with a name, and families of losses with parameters.

A name can be used like an expression: `ExpressionLoss("baikal")`, `glo show brier`.  Each entry is f(x, y) for the true
label x and the predicted probability y; the loss is minus the sum over classes of f.
"""

from __future__ import annotations

import math
from typing import TypeGuard

from glo.errors import ConfigError, ExpressionError
from glo.expr import Expr, parse, scale_free_fingerprint, softmax_fingerprint

# Negative log likelihood: the paper's baseline (section IV.A).
cross_entropy = parse("x*log(y)")
# Paper, equation 1.
baikal = parse("log(y) - x/y")
# Paper, equation 2, with a coefficient at each of the six nodes.
baikal_cma = parse("2.7279*(0.9863*log(1.5352*y) - -1.1135*(1.3716*x/(-0.8411*y)))")
# Squared error: Brier's score on probabilities (Brier 1950), mean squared error in regression.
brier = parse("-square(x - y)")
mse = brier
# Absolute error; for one-hot labels twice the probability mass on wrong classes: bounded, robust to label noise
# (Ghosh et al. 2017).
mae = parse("-abs(x - y)")
# The probability of the true class.  Trains like mae for one-hot labels under softmax; written in the paper's operators.
linear = parse("x*y")
# Generalised cross-entropy (Zhang and Sabuncu 2018) with q = 0.5, up to scale: between mae and cross_entropy.
sqrt_likelihood = parse("x*sqrt(y)")
# Discovered by `glo demo` with seed 0 for digits with 40 % wrong labels (docs/images/loss.png).
noisy_digits = parse("(sqrt(y) + x + x)*(sqrt(y) + (y + y) + 1)")
# For sigmoid outputs: a term for yes and a term for no.
binary_cross_entropy = parse("x*log(y) + (1 - x)*log(1 - y)")

# The loss that one would use without a search, by link.
STANDARD: dict[str, Expr] = {"softmax": cross_entropy, "sigmoid": binary_cross_entropy, "identity": mse}

# The polynomial of degree 3 in x and y, without the terms that do not depend on y.  With a coefficient at each term it is
# the family of TaylorGLO (Gonzalez and Miikkulainen 2021), whose eight parameters are these six and a centre of expansion;
# the centre adds no further losses.  As it stands, it is close to Brier's score.
taylor3 = parse("x*y + square(x)*y + y - square(y) - square(y)*y - x*square(y)")

TEMPLATES: dict[str, Expr] = {"taylor3": taylor3}

NAMED: dict[str, Expr] = {
    "cross_entropy": cross_entropy,
    "baikal": baikal,
    "baikal_cma": baikal_cma,
    "brier": brier,
    "mse": mse,
    "mae": mae,
    "linear": linear,
    "sqrt_likelihood": sqrt_likelihood,
    "noisy_digits": noisy_digits,
    "binary_cross_entropy": binary_cross_entropy,
}


def smoothed_cross_entropy(smoothing: float, classes: int) -> Expr:
    """Cross-entropy with label smoothing (Szegedy et al. 2016) as an expression.

    The label x of each of `classes` classes becomes (1 - smoothing)*x + smoothing/classes.

    Raises:
        ConfigError: unless 0 <= smoothing < 1 and classes >= 2.
    """
    return parse(f"({_smoothed_label(smoothing, classes)})*log(y)")


def smoothed_binary_cross_entropy(smoothing: float) -> Expr:
    """Binary cross-entropy with label smoothing: the label x becomes (1 - smoothing)*x + smoothing/2.

    Raises:
        ConfigError: unless 0 <= smoothing < 1.
    """
    label = _smoothed_label(smoothing, 2)
    return parse(f"({label})*log(y) + (1 - ({label}))*log(1 - y)")


def _smoothed_label(smoothing: float, classes: int) -> Expr:
    if not 0 <= smoothing < 1 or classes < 2:
        raise ConfigError(f"label smoothing needs 0 <= smoothing < 1 and 2 classes or more, not {smoothing} and {classes}")
    return parse(f"{1 - smoothing:.15g}*x + {smoothing / classes:.15g}")


# Formulas with parameters, in braces; the shelf has them too.
GENERALISED_CROSS_ENTROPY = "x*y**{q}/{q}"
FOCAL = "x*(1 - y)**{g}*log(y)"
CONFIDENCE_PENALTY = "x*log(y) - {b}*y*log(y)"


def generalised_cross_entropy(q: float = 0.7) -> Expr:
    """(1 - y**q)/q of the true class (Zhang and Sabuncu 2018): cross-entropy for q near 0, absolute error for 1.

    Raises:
        ConfigError: unless 0 < q <= 1.
    """
    if not 0 < q <= 1:
        raise ConfigError(f"generalised cross-entropy needs 0 < q <= 1, not {q}")
    return parse(GENERALISED_CROSS_ENTROPY.format(q=repr(q)))


def focal(gamma: float = 2.0) -> Expr:
    """Focal loss (Lin et al. 2017): cross-entropy times (1 - y)**gamma, which makes easy samples count less.

    Raises:
        ConfigError: unless gamma is a number of at least 0.
    """
    if not 0 <= gamma < math.inf:
        raise ConfigError(f"focal loss needs a gamma of at least 0, not {gamma}")
    return parse(FOCAL.format(g=repr(gamma)))


def confidence_penalty(beta: float = 0.1) -> Expr:
    """Cross-entropy minus beta times the entropy of the prediction (Pereyra et al. 2017, the paper's reference 29).

    Raises:
        ConfigError: unless beta is a number of at least 0.
    """
    if not 0 <= beta < math.inf:
        raise ConfigError(f"the confidence penalty needs a beta of at least 0, not {beta}")
    return parse(CONFIDENCE_PENALTY.format(b=repr(beta)))


def known_as(expr: Expr) -> list[str]:
    """Names of the losses that train like this one, at some learning rate; "mae-like" if they do so only under softmax.

    Under softmax the predictions sum to one, so a constant added to df/dy for all classes changes no gradient.
    """
    anywhere, softmax = scale_free_fingerprint(expr), softmax_fingerprint(expr)
    exact = [name for name, loss in NAMED.items() if scale_free_fingerprint(loss) == anywhere]
    like = [f"{name}-like" for name, loss in NAMED.items() if name not in exact and softmax_fingerprint(loss) == softmax]
    return exact + like


def _as_name(text: str) -> str:
    return text.strip().replace("-", "_")  # "cross-entropy" works as well


def _is_name(loss: object) -> TypeGuard[str]:
    return isinstance(loss, str) and _as_name(loss) in NAMED


def resolve(loss: str | Expr) -> Expr:
    """The expression for a text or for the name of a loss; an expression is returned unchanged.

    Raises:
        ExpressionError: as `parse` does; for an unknown name the message lists the named losses.
    """
    if isinstance(loss, Expr):
        return loss
    if _is_name(loss):
        return NAMED[_as_name(loss)]
    try:
        return parse(loss)
    except ExpressionError as error:
        if isinstance(loss, str) and loss.isidentifier():
            raise ExpressionError(f"{error}; named losses are {', '.join(NAMED)}") from None
        raise


def maximised(expr: str | Expr | None, loss: str | Expr | None) -> Expr:
    """f(x, y) of a loss that is given as `expr`, which is maximised, or as `loss`, which is minimised: f is its negation.

    A name of the catalog is the name of a loss, so it means the same either way.

    Raises:
        ExpressionError: as `resolve` does.
        ConfigError: if none or both are given.
    """
    if (expr is None) == (loss is None):
        raise ConfigError("give an expression f(x, y), which is maximised, or loss=..., which is minimised: one of the two")
    if loss is None:
        return resolve(expr)  # pyright: ignore[reportArgumentType] - one of the two is given
    return resolve(loss) if _is_name(loss) else minus(resolve(loss))


def minus(expr: Expr) -> Expr:
    """The negation, in its shortest form: of neg(a) it is a, and of a - b it is b - a."""
    match expr.symbol:
        case "neg":
            return expr.children[0]
        case "-":
            return Expr("-", expr.children[::-1])
        case _:
            return Expr("neg", (expr,))
