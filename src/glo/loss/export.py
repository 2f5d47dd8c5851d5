"""A loss as source code that does not need glo, and as a sympy expression."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glo.catalog import minus
from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate, evaluate_dual
from glo.expr.dual import uses_log_not_y
from glo.loss.prior import check_prior
from glo.loss.python import code
from glo.records import Link

if TYPE_CHECKING:
    import sympy

TORCH_SOURCE = '''"""A loss function found by glo: minus the {class_reduction} over classes of f(x, y) = {text}."""

import torch


def loss(outputs, target, {context}eps={eps}):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}{described}
    """
{body}
    f = {code}
    return -f.{class_reduction}(dim=1).mean()
'''

NUMPY_SOURCE = '''"""A loss function found by glo: minus the {class_reduction} over classes of f(x, y) = {text}."""

import numpy as np


def loss(outputs, target, {context}eps={eps}):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}{described}
    """
{body}
    with np.errstate(all="ignore"):
        f = {code}
        return -np.{class_reduction}(f, axis=1).mean()
'''

# The statements that turn outputs into predictions, and those for log(1 - y), by language and link.
PREDICTIONS = {
    ("torch", Link.SOFTMAX): [
        "outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32)).clamp(min=-1e9)",
        "log_y = torch.log_softmax(outputs, dim=1)",
        "y = log_y.exp().clamp(eps, 1 - eps)",
    ],
    ("torch", Link.SIGMOID): [
        "outputs = outputs.to(torch.promote_types(outputs.dtype, torch.float32)).clamp(-1e9, 1e9)",
        "log_y = torch.nn.functional.logsigmoid(outputs)",
        "y = torch.sigmoid(outputs).clamp(eps, 1 - eps)",
    ],
    ("torch", Link.IDENTITY): ["y = outputs.to(torch.promote_types(outputs.dtype, torch.float32))"],
    ("numpy", Link.SOFTMAX): [
        "outputs = np.clip(np.asarray(outputs, dtype=float), -1e9, None)",
        "shifted = outputs - outputs.max(axis=1, keepdims=True)",
        "log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))",
        "y = np.clip(np.exp(log_y), eps, 1 - eps)",
    ],
    ("numpy", Link.SIGMOID): [
        "outputs = np.clip(np.asarray(outputs, dtype=float), -1e9, 1e9)",
        "log_y = np.minimum(outputs, 0) - np.log1p(np.exp(-np.abs(outputs)))",
        "y = np.clip(np.exp(log_y), eps, 1 - eps)",
    ],
    ("numpy", Link.IDENTITY): ["y = np.asarray(outputs, dtype=float)"],
}
LOG_NOT_Y = {
    ("torch", Link.SOFTMAX): [
        "largest = log_y.argmax(dim=1, keepdim=True)",
        "others = log_y.scatter(1, largest, -3e38).logsumexp(dim=1, keepdim=True)",
        "log_not_y = torch.log1p(-log_y.exp().scatter(1, largest, 0.0)).scatter(1, largest, others)",
    ],
    ("torch", Link.SIGMOID): ["log_not_y = torch.nn.functional.logsigmoid(-outputs)"],
    ("numpy", Link.SOFTMAX): [
        "largest = np.arange(outputs.shape[1]) == log_y.argmax(axis=1)[:, None]",
        "others = np.logaddexp.reduce(np.where(largest, -3e38, log_y), axis=1, keepdims=True)",
        "log_not_y = np.where(largest, others, np.log1p(-np.minimum(np.exp(log_y), 0.5)))",
    ],
    ("numpy", Link.SIGMOID): ["log_not_y = np.minimum(-outputs, 0) - np.log1p(np.exp(-np.abs(outputs)))"],
}
CLASSES = {
    "torch": [
        "if not target.is_floating_point():",
        "    target = torch.nn.functional.one_hot(target.long(), outputs.shape[1])",
    ],
    "numpy": [
        "if np.ndim(target) == 1:",
        "    target = np.eye(outputs.shape[1])[np.where(np.less(target, 0), outputs.shape[1], target)]",
    ],
}
LABELS = {"torch": "x = target.to(y.dtype)", "numpy": "x = np.asarray(target, dtype=float)"}
CONTEXT = {
    "prior": "share of each class in the training labels, C numbers.",
    "progress": "share of the training that is done: 0 at the first step, 1 at the last.",
}
CONTEXT_VALUES = {
    "torch": "{name} = torch.as_tensor({name}, dtype=y.dtype, device=y.device)",
    "numpy": "{name} = np.asarray({name}, dtype=float)",
}
SHAPES = [
    "if x.shape != y.shape:",
    '    raise ValueError(f"targets of shape {tuple(x.shape)} do not fit outputs of shape {tuple(y.shape)}")',
]


def source(
    expr: Expr,
    language: Literal["torch", "numpy"] = "torch",
    link: Link = Link.SOFTMAX,
    *,
    class_reduction: Literal["sum", "mean"] = "sum",
    eps: float = 1e-7,
    prior: Sequence[float] = (),
) -> str:
    """The source of a module with one function `loss(outputs, target)`, which imports only torch, or only numpy.

    The function of a loss that uses `progress`, or `prior`, has an argument of that name.

    The function computes `ExpressionLoss(expr, link=link, class_reduction=class_reduction, eps=eps)`; it trains like a study
    if it gets the link of the study's task and the two options of its training.

    Args:
        expr: the expression.
        language: the library that the function uses.
        link: how outputs become predictions.
        class_reduction: sum or mean over classes.
        eps: bound of the clamp of y.
        prior: the share of each class, which becomes the argument's default; only for a loss that uses `prior`.

    Raises:
        ConfigError: for a bad class_reduction, eps or prior.
    """
    if prior:
        check_prior(expr, link, prior)
    if class_reduction not in ("sum", "mean"):
        raise ConfigError(f"class_reduction is 'sum' or 'mean', not {class_reduction!r}")
    if not 0 < eps < 0.5:
        raise ConfigError(f"eps is between 0 and 0.5, not {eps}")
    template = TORCH_SOURCE if language == "torch" else NUMPY_SOURCE
    softmax, identity = link is Link.SOFTMAX, link is Link.IDENTITY
    predictions = PREDICTIONS[language, link] + (LOG_NOT_Y[language, link] if uses_log_not_y(expr) and not identity else [])
    labels = [*(CLASSES[language] if softmax else []), LABELS[language], *SHAPES]
    labels += [CONTEXT_VALUES[language].format(name=name) for name in expr.context]
    # Arguments without a default come first.
    arguments = {name: f"prior={list(prior)}" if name == "prior" and prior else name for name in reversed(expr.context)}
    return template.format(
        text=expr,
        class_reduction=class_reduction,
        eps=repr(float(eps)).replace("e-0", "e-"),  # 1e-7, as people write it
        context="".join(f"{argument}, " for argument in arguments.values()),
        described="".join(f"\n    {name}: {CONTEXT[name]}" for name in arguments),
        outputs="shape (N, C), predictions." if identity else "shape (N, C), logits.",
        target="class indices, shape (N), or probabilities, shape (N, C)." if softmax else "labels, shape (N, C).",
        body="\n".join(f"    {line}" for line in predictions + labels),
        code=code(expr, "torch" if language == "torch" else "np", has_logs=not identity),
    )


class _SympyFunctions:
    """Stands in for numpy, so that the operator table's own `value` works on sympy expressions.

    Args:
        simplify: whether the functions are sympy's own; else they make a `Written`.
    """

    def __init__(self, simplify: bool) -> None:
        self._simplify = simplify

    def __getattr__(self, name: str) -> Any:
        import sympy

        renamed = {"abs": "Abs", "minimum": "Min", "maximum": "Max"}
        name = renamed.get(name, name)
        if not self._simplify:
            from glo.loss.symbolic import written

            return partial(written, name)
        function = getattr(sympy, name)

        def apply(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except ValueError:  # Min and Max of numbers that cannot be compared, such as log(-1)
                return sympy.nan

        return apply


def to_sympy(expr: Expr) -> sympy.Expr:
    """The expression for sympy, for display and algebra; sympy does not keep NaN: it simplifies x/x to 1.

    An expression that sympy could take too long to simplify is a `glo.loss.symbolic.Unsimplified`: if it has more than 60
    nodes, more than five functions inside one another, or numbers that are not finite or have too many digits.
    """
    import sympy

    from glo.loss.symbolic import is_quickly_simplified, unsimplified

    x, y = sympy.symbols("x y", real=True)
    context = {name: sympy.Symbol(name, real=True) for name in expr.context}
    if not is_quickly_simplified(expr):
        return unsimplified(expr, _SympyFunctions(simplify=False), {"x": x, "y": y, **context})

    def number(value: float) -> Any:
        return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)

    return evaluate_dual(expr, _SympyFunctions(simplify=True), x, Dual(y), number, context=context).value


INVERSES = {Link.SOFTMAX: "softmax(outputs)", Link.SIGMOID: "sigmoid(outputs)", Link.IDENTITY: "the output"}


def minimised(expr: Expr, link: Link = Link.SOFTMAX, class_reduction: Literal["sum", "mean"] = "sum") -> str:
    """What a training minimises, in one line: f itself is maximised."""
    over = "classes" if link is Link.SOFTMAX else "outputs"
    return f"mean over samples of the {class_reduction} over {over} of {minus(expr)}, where y = {INVERSES[link]}"


def binary_minimum(expr: Expr) -> float | None:
    """The y0 in [0, 1] at which the two-class loss is smallest, for x0 = 1 (paper, section V.A); None without a minimum.

    With two classes the loss is -(f(1, y0) + f(0, 1 - y0)).  Its minimum is at 0.7071 for Baikal, at 1.0 for cross-entropy.
    """
    return right_minimum(expr, classes=2)


def right_minimum(expr: Expr, classes: int) -> float | None:
    """The probability of the right class at which a loss is smallest; None without a minimum.

    The wrong classes share the rest equally.  The minimum is at 1/sqrt(classes) for Baikal, at 1.0 for cross-entropy.  For a
    loss that uses them, all classes have the same prior, and the training is at its end.
    """
    from scipy.optimize import minimize_scalar

    context = {"prior": 1 / classes, "progress": 1.0}

    def loss(y0: float | np.ndarray) -> np.ndarray:
        others = classes - 1
        with np.errstate(all="ignore"):
            wrong = evaluate(expr, 0.0, (1 - np.asarray(y0)) / others, context)
            return -(evaluate(expr, 1.0, y0, context) + others * wrong)

    grid = np.concatenate(
        [np.geomspace(1e-12, 1e-3, 200), np.linspace(2e-3, 0.998, 4001), 1 - np.geomspace(1e-3, 1e-12, 200)]
    )
    values = loss(grid)
    if not np.isfinite(values).any():
        return None
    at = int(np.nanargmin(values))
    if np.nanmax(values) == values[at]:
        return None
    if at in (0, len(grid) - 1):
        return float(round(grid[at]))
    with np.errstate(all="ignore"):  # beside the smallest value, there may be infinite ones
        found: Any = minimize_scalar(
            lambda y0: float(loss(y0)), bounds=(grid[at - 1], grid[at + 1]), method="bounded", options={"xatol": 1e-10}
        )
    return float(found.x)
