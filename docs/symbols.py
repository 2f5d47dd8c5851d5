"""Values that write down what is computed with them: how the operator table of glo leaves Python.

The result is a nested list `[function, argument, ...]` whose leaves are names and numbers; `text_of` writes it as people do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

INFIX = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4, ">=": 0, ">": 0, "<=": 0, "<": 0}
ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**"}
ORDER = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
SIGN = 3  # how strongly a minus binds
ATOM = 9


class Symbol:
    """A value; the methods for + - * / ** >= > <= < are added below."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    def __neg__(self) -> Symbol:
        return Symbol(["neg", self.tree])

    def __str__(self) -> str:
        return text_of(self.tree)


class Functions:
    """The module of functions `m` that the operator table expects."""

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        return lambda *arguments: Symbol([name, *map(tree_of, arguments)])


def tree_of(value: Any) -> Any:
    return value.tree if isinstance(value, Symbol) else value


def text_of(tree: Any) -> str:
    """A nested list as text, with as few parentheses as needed."""
    if not isinstance(tree, list):
        return str(tree)
    name, *arguments = tree
    if name == "neg":
        return f"-{_within(arguments[0], SIGN)}"
    if name in INFIX:
        left, right = arguments
        return f"{_within(left, INFIX[name])} {name} {_within(right, INFIX[name] + 1)}"
    return f"{name}({', '.join(map(text_of, arguments))})"


def _within(tree: Any, least: int) -> str:
    binds = INFIX.get(tree[0], SIGN if tree[0] == "neg" else ATOM) if isinstance(tree, list) else ATOM
    return text_of(tree) if binds >= least else f"({text_of(tree)})"


def _method(name: str, swapped: bool = False) -> Callable[[Symbol, Any], Symbol]:
    def method(self: Symbol, other: Any) -> Symbol:
        pair = [self.tree, tree_of(other)]
        return Symbol([name, *(pair[::-1] if swapped else pair)])

    return method


for _word, _name in (ARITHMETIC | ORDER).items():
    setattr(Symbol, f"__{_word}__", _method(_name))
for _word, _name in ARITHMETIC.items():
    setattr(Symbol, f"__r{_word}__", _method(_name, swapped=True))
