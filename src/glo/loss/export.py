"""A loss as source code that does not need glo, and as a sympy expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glo.errors import ConfigError
from glo.expr import Dual, Expr, evaluate, evaluate_dual, fold
from glo.expr.operators import Operator
from glo.expr.tree import ATOM, NEGATIVE
from glo.records import Link

if TYPE_CHECKING:
    import sympy

TORCH_SOURCE = '''"""A loss function found by glo: minus the {class_reduction} over classes of f(x, y) = {text}."""

import torch


def loss(outputs, target, eps={eps}):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}
    """
{predictions}
{labels}
    f = {code}
    return -f.{class_reduction}(dim=1).mean()
'''

NUMPY_SOURCE = '''"""A loss function found by glo: minus the {class_reduction} over classes of f(x, y) = {text}."""

import numpy as np


def loss(outputs, target, eps={eps}):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}
    """
{predictions}
{labels}
    with np.errstate(all="ignore"):
        f = {code}
    return -np.{class_reduction}(f, axis=1).mean()
'''

# The statements that turn outputs into predictions, by language and link.
PREDICTIONS = {
    ("torch", Link.SOFTMAX): [
        "log_y = torch.log_softmax(outputs, dim=1)",
        "y = log_y.exp().clamp(eps, 1 - eps)",
    ],
    ("torch", Link.SIGMOID): [
        "log_y = torch.nn.functional.logsigmoid(outputs)",
        "y = torch.sigmoid(outputs).clamp(eps, 1 - eps)",
    ],
    ("torch", Link.IDENTITY): ["y = outputs"],
    ("numpy", Link.SOFTMAX): [
        "shifted = outputs - outputs.max(axis=1, keepdims=True)",
        "log_y = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))",
        "y = np.clip(np.exp(log_y), eps, 1 - eps)",
    ],
    ("numpy", Link.SIGMOID): [
        "log_y = -np.logaddexp(0, -outputs)",
        "y = np.clip(np.exp(log_y), eps, 1 - eps)",
    ],
    ("numpy", Link.IDENTITY): ["y = outputs"],
}
ONE_HOT = {
    "torch": "x = target if target.is_floating_point() else torch.nn.functional.one_hot(target, y.shape[1]).to(y.dtype)",
    "numpy": "x = target if target.ndim == 2 else np.eye(outputs.shape[1])[target]",
}


def source(
    expr: Expr,
    language: Literal["torch", "numpy"] = "torch",
    link: Link = Link.SOFTMAX,
    *,
    class_reduction: Literal["sum", "mean"] = "sum",
    eps: float = 1e-7,
) -> str:
    """The source of a module with one function `loss(outputs, target)`, which imports only torch, or only numpy.

    The function computes `ExpressionLoss(expr, link=link, class_reduction=class_reduction, eps=eps)`; it trains like a study
    if it gets the link of the study's task and the two options of its training.

    Args:
        expr: the expression.
        language: the library that the function uses.
        link: how outputs become predictions.
        class_reduction: sum or mean over classes.
        eps: bound of the clamp of y.

    Raises:
        ConfigError: for a bad class_reduction or eps.
    """
    if class_reduction not in ("sum", "mean"):
        raise ConfigError(f"class_reduction is 'sum' or 'mean', not {class_reduction!r}")
    if not 0 < eps < 0.5:
        raise ConfigError(f"eps is between 0 and 0.5, not {eps}")
    template = TORCH_SOURCE if language == "torch" else NUMPY_SOURCE
    softmax = link is Link.SOFTMAX
    return template.format(
        text=expr,
        class_reduction=class_reduction,
        eps=repr(float(eps)).replace("e-0", "e-"),  # 1e-7, as people write it
        outputs="shape (N, C), logits." if link is not Link.IDENTITY else "shape (N, C), predictions.",
        target="class indices, shape (N), or probabilities, shape (N, C)." if softmax else "labels, shape (N, C).",
        predictions="\n".join(f"    {line}" for line in PREDICTIONS[language, link]),
        labels=f"    {ONE_HOT[language] if softmax else 'x = target'}",
        code=code(expr, "torch" if language == "torch" else "np", has_log_y=link is not Link.IDENTITY),
    )


# Source text, its precedence, and whether it is a number.
Code = tuple[str, int, bool]


def code(expr: Expr, module: str, has_log_y: bool = True) -> str:
    """A Python expression in x and y (and log_y in place of log(y)) that calls the functions of `module`."""

    def leaf(node: Expr) -> Code:
        return _number(node.value) if node.is_constant else (node.symbol, ATOM, False)

    def apply(operator: Operator, arguments: tuple[Code, ...]) -> Code:
        if operator.name == "log" and arguments[0][0] == "y" and has_log_y:
            return "log_y", ATOM, False
        if all(is_number for _, _, is_number in arguments):
            return _number(_constant_value(operator, arguments))
        if operator.precedence is None:
            texts = [f"{module}.full_like(y, {t})" if n and operator.name != "pow" else t for t, _, n in arguments]
            return operator.code.format(*texts, m=module), ATOM, False
        (left, left_binds, _), (right, right_binds, _) = arguments
        left = left if left_binds >= operator.precedence else f"({left})"
        right = right if right_binds > operator.precedence else f"({right})"
        return operator.code.format(left, right), operator.precedence, False

    text, _, is_number = fold(expr, leaf, apply)
    return f"{module}.full_like(y, {text})" if is_number else text


def _number(value: float) -> Code:
    text = repr(value) if np.isfinite(value) else f'float("{value}")'
    return text, NEGATIVE if text.startswith("-") else ATOM, True


def _constant_value(operator: Operator, arguments: tuple[Code, ...]) -> float:
    with np.errstate(all="ignore"):
        values = [np.float64(text.removeprefix('float("').removesuffix('")')) for text, _, _ in arguments]
        return float(operator.value(np, *values))


class _SympyFunctions:
    """Stands in for numpy, so that the operator table's own `value` works on sympy expressions."""

    def __getattr__(self, name: str) -> Any:
        import sympy

        renamed = {"abs": "Abs", "minimum": "Min", "maximum": "Max"}
        function = getattr(sympy, renamed.get(name, name))

        def apply(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except ValueError:  # Min and Max of numbers that cannot be compared, such as log(-1)
                return sympy.nan

        return apply


def to_sympy(expr: Expr) -> sympy.Expr:
    """The expression for sympy, for display and algebra; sympy does not keep NaN: it simplifies x/x to 1."""
    import sympy

    x, y = sympy.symbols("x y", real=True)

    def number(value: float) -> Any:
        return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)

    return evaluate_dual(expr, _SympyFunctions(), x, Dual(y), number).value


def binary_minimum(expr: Expr) -> float | None:
    """The y0 in [0, 1] at which the two-class loss is smallest, for x0 = 1 (paper, section V.A); None without a minimum.

    With two classes the loss is -(f(1, y0) + f(0, 1 - y0)).  Its minimum is at 0.7071 for Baikal, at 1.0 for cross-entropy.
    """
    return right_minimum(expr, classes=2)


def right_minimum(expr: Expr, classes: int) -> float | None:
    """The probability of the right class at which a loss is smallest; None without a minimum.

    The wrong classes share the rest equally.  The minimum is at 1/sqrt(classes) for Baikal, at 1.0 for cross-entropy.
    """
    from scipy.optimize import minimize_scalar

    def loss(y0: float | np.ndarray) -> np.ndarray:
        others = classes - 1
        return -(evaluate(expr, 1.0, y0) + others * evaluate(expr, 0.0, (1 - np.asarray(y0)) / others))

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
    found: Any = minimize_scalar(
        lambda y0: float(loss(y0)), bounds=(grid[at - 1], grid[at + 1]), method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x)
