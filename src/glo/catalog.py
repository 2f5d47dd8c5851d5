"""Losses with a name, usable wherever an expression is: `ExpressionLoss("baikal")`, `glo show brier`.

Each is f(x, y) for the true label x and the predicted probability y; the loss is minus the sum over classes of f.
"""

from __future__ import annotations

import math

from glo.errors import ConfigError, ExpressionError
from glo.expr import HARD, Expr, constant, parse, scale_free_fingerprint, visible_slopes

# Negative log likelihood: the paper's baseline (section IV.A).
cross_entropy = parse("x*log(y)")
# Paper, equation 1.
baikal = parse("log(y) - x/y")
# Paper, equation 2: the six coefficients, each at its node.
baikal_cma = parse("2.7279*(0.9863*log(1.5352*y) - -1.1135*(1.3716*x/(-0.8411*y)))")
# Squared error: Brier's score on probabilities (Brier 1950), mean squared error in regression.
brier = parse("-square(x - y)")
mse = brier
# Absolute error; for one-hot labels twice the probability mass on wrong classes: bounded, robust to label noise
# (Ghosh et al. 2017).
mae = parse("-abs(x - y)")
# The probability of the true class itself: as mae for one-hot labels under softmax, in the paper's operators.
linear = parse("x*y")
# Generalised cross-entropy (Zhang and Sabuncu 2018) with q = 0.5, up to scale: between mae and cross_entropy.
sqrt_likelihood = parse("x*sqrt(y)")
# What `glo demo` discovered with seed 0 for digits of which 40 % are labelled wrong (docs/images/loss.png).
noisy_digits = parse("(sqrt(y) + x + x)*(sqrt(y) + (y + y) + 1)")
# For sigmoid outputs: both classes of each yes-no question.
binary_cross_entropy = parse("x*log(y) + (1 - x)*log(1 - y)")

# The polynomials of degree 3 in x and y, without the terms that have no derivative in y: with a coefficient for each term,
# the family of TaylorGLO (Gonzalez and Miikkulainen 2021).  Its eight parameters are the six of these terms and a centre
# of expansion, which they absorb.  With the coefficients as they are, close to Brier's score.
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
        raise ConfigError(f"label smoothing needs 0 <= smoothing < 1 and 2 classes, not {smoothing} and {classes}")
    return parse(f"{1 - smoothing:.15g}*x + {smoothing / classes:.15g}")


def generalised_cross_entropy(q: float = 0.7) -> Expr:
    """(1 - y**q)/q of the true class (Zhang and Sabuncu 2018): cross-entropy for q near 0, absolute error for 1.

    Raises:
        ConfigError: unless 0 < q <= 1.
    """
    if not 0 < q <= 1:
        raise ConfigError(f"generalised cross-entropy needs 0 < q <= 1, not {q}")
    return parse(f"x*y**{q!r}/{q!r}")


def focal(gamma: float = 2.0) -> Expr:
    """Focal loss (Lin et al. 2017): cross-entropy times (1 - y)**gamma, which makes easy samples count less.

    Raises:
        ConfigError: unless gamma is a number of at least 0.
    """
    if not 0 <= gamma < math.inf:
        raise ConfigError(f"focal loss needs a gamma of at least 0, not {gamma}")
    return parse(f"x*(1 - y)**{gamma!r}*log(y)")


def confidence_penalty(beta: float = 0.1) -> Expr:
    """Cross-entropy less beta times the entropy of the prediction (Pereyra et al. 2017, the paper's reference 29).

    Raises:
        ConfigError: unless beta is a number of at least 0.
    """
    if not 0 <= beta < math.inf:
        raise ConfigError(f"the confidence penalty needs a beta of at least 0, not {beta}")
    return parse(f"x*log(y) - {beta!r}*y*log(y)")


def known_as(expr: Expr) -> list[str]:
    """Names of the losses that train like this one, at some learning rate; "mae-like" if only under softmax.

    Under softmax, whose predictions sum to one, a constant added to df/dy for all classes changes no gradient.
    """
    mark, level = scale_free_fingerprint(expr), _levelled(expr)
    exact = [name for name, loss in NAMED.items() if scale_free_fingerprint(loss) == mark]
    like = [f"{name}-like" for name, loss in NAMED.items() if name not in exact and _levelled(loss) == level]
    return exact + like


def _levelled(expr: Expr) -> str:
    """Fingerprint of the expression with a multiple of y added, so that its derivative is 0 where x is 0 and y small."""
    slope = float(visible_slopes(expr, HARD.x, HARD.y)[0])
    if not math.isfinite(slope):
        return scale_free_fingerprint(expr)
    return scale_free_fingerprint(Expr("-", (expr, Expr("*", (constant(slope), Expr("y"))))))


def resolve(loss: str | Expr) -> Expr:
    """An expression from its text, from the name of a loss, or as it is.

    Raises:
        ExpressionError: as `parse`, and it lists the named losses for an unknown word.
    """
    if isinstance(loss, Expr):
        return loss
    if isinstance(loss, str) and (name := loss.strip().replace("-", "_")) in NAMED:  # cross-entropy is a name too
        return NAMED[name]
    try:
        return parse(loss)
    except ExpressionError as error:
        if isinstance(loss, str) and loss.isidentifier():
            raise ExpressionError(f"{error}; named losses are {', '.join(NAMED)}") from None
        raise
