"""A loss as source code that does not need glo, and as a sympy expression."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from glo.expr import Dual, Expr, evaluate, evaluate_dual, fold
from glo.expr.operators import Operator
from glo.expr.tree import ATOM, NEGATIVE
from glo.records import Link

if TYPE_CHECKING:
    import sympy

TORCH_SOURCE = '''"""A loss function found by glo: minus the sum over classes of f(x, y) = {text}."""

import torch


def loss(outputs, target, eps=1e-7):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}
    """
{predictions}
{labels}
    f = {code}
    return -f.sum(dim=1).mean()
'''

NUMPY_SOURCE = '''"""A loss function found by glo: minus the sum over classes of f(x, y) = {text}."""

import numpy as np


def loss(outputs, target, eps=1e-7):
    """Mean over the batch.

    outputs: {outputs}
    target: {target}
    """
{predictions}
{labels}
    with np.errstate(all="ignore"):
        f = {code}
    return -np.sum(f, axis=1).mean()
'''

# How outputs become predictions, in the two languages.
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


def source(expr: Expr, language: Literal["torch", "numpy"] = "torch", link: Link = Link.SOFTMAX) -> str:
    """A module with one function `loss(outputs, target)` that imports only torch, or only numpy."""
    template = TORCH_SOURCE if language == "torch" else NUMPY_SOURCE
    softmax = link is Link.SOFTMAX
    return template.format(
        text=expr,
        outputs="shape (N, C), logits." if link is not Link.IDENTITY else "shape (N, C), predictions.",
        target="class indices, shape (N), or probabilities, shape (N, C)." if softmax else "labels, shape (N, C).",
        predictions="\n".join(f"    {line}" for line in PREDICTIONS[language, link]),
        labels=f"    {ONE_HOT[language] if softmax else 'x = target'}",
        code=code(expr, "torch" if language == "torch" else "np", has_log_y=link is not Link.IDENTITY),
    )


# Source text, how tightly it binds, and whether it is a number.
Code = tuple[str, int, bool]


def code(expr: Expr, module: str, has_log_y: bool = True) -> str:
    """One Python expression in x and y (and log_y in place of log(y)) with the functions of `module`."""

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
    """Takes the place of numpy: the operator table's own `value` on sympy expressions."""

    def __getattr__(self, name: str) -> Any:
        import sympy

        renamed = {"abs": "Abs", "minimum": "Min", "maximum": "Max"}
        function = getattr(sympy, renamed.get(name, name))

        def apply(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except ValueError:  # the minimum of what cannot be compared, such as log(-1)
                return sympy.nan

        return apply


def to_sympy(expr: Expr) -> sympy.Expr:
    """The expression for sympy, for display and algebra; unlike ours, sympy's algebra does not keep NaN (x/x is 1)."""
    import sympy

    x, y = sympy.symbols("x y", real=True)

    def number(value: float) -> Any:
        return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)

    return evaluate_dual(expr, _SympyFunctions(), x, Dual(y), number).value


def binary_minimum(expr: Expr) -> float | None:
    """Where the two-class loss has its minimum over y0 in [0, 1], for x0 = 1 (paper, section V.A); None if it has none.

    With two classes the loss is -(f(1, y0) + f(0, 1 - y0)): 0.7071 for Baikal, 1.0 for cross-entropy.
    """
    return right_minimum(expr, classes=2)


def right_minimum(expr: Expr, classes: int) -> float | None:
    """The probability of the right class at which a loss is smallest, the wrong classes sharing the rest equally.

    1/sqrt(classes) for Baikal, 1.0 for cross-entropy; None if there is no minimum.
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
