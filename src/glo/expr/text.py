"""Parse the text of an expression with Python's own parser and a whitelist.  Nothing is ever evaluated."""

from __future__ import annotations

import ast
import difflib
import warnings
from typing import NoReturn

from glo.errors import ExpressionError
from glo.expr.operators import OPERATORS
from glo.expr.tree import CONTEXT, LEAVES, MAX_DEPTH, MAX_NODES, VARIABLES, Expr, constant

MAX_LENGTH = 10_000
INFIX: dict[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
SYNONYMS = {
    "absolute": "abs", "fabs": "abs", "ln": "log", "maximum": "max", "minimum": "min", "negative": "neg", "power": "pow",
    "sqr": "square",
}  # fmt: skip
FUNCTIONS = tuple(row.name for row in OPERATORS.values() if row.precedence is None)
ALLOWED = f"allowed are x, y, prior, progress, numbers, + - * / ** and {', '.join(FUNCTIONS)}"


def parse(text: str) -> Expr:
    """Parse an expression such as `log(y) - x/y` or `y**2`.

    `parse(str(e)) == e` for every expression within the limits.

    Raises:
        ExpressionError: if the text is not an expression, is longer than 10,000 characters, is deeper than 100, or has more
            than 1,000 nodes.  The message names the position and the allowed words.
    """
    if not isinstance(text, str):
        raise ExpressionError(f"an expression is a text such as 'x*log(y)', not {type(text).__name__}")
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(text):,} characters; at most {MAX_LENGTH:,} are allowed")
    source = text.strip()
    if not source:
        raise ExpressionError(f"the expression is empty; {ALLOWED}")
    try:
        with warnings.catch_warnings():  # Python warns of forms such as `1(y)`, which are refused below
            warnings.simplefilter("ignore")
            tree = ast.parse(source, mode="eval")
    except SyntaxError as error:
        where = f" at position {error.offset}" if error.offset else ""
        raise ExpressionError(f"{_excerpt(source)} is not an expression{where}: {error.msg}; {ALLOWED}") from None
    except (ValueError, MemoryError, RecursionError) as error:
        reason = str(error) or "it is nested too deeply"
        raise ExpressionError(f"{_excerpt(source)} is not an expression: {reason}; {ALLOWED}") from None
    return _Reader(source).read(tree.body, depth=0)


class _Reader:
    """Converts Python's syntax tree to an `Expr`; counts nodes, and quotes the source in error messages."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.count = 0

    def read(self, node: ast.expr, depth: int) -> Expr:
        self.count += 1
        if depth > MAX_DEPTH or self.count > MAX_NODES:
            raise ExpressionError(f"an expression may be at most {MAX_DEPTH} deep with at most {MAX_NODES} nodes")
        match node:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                self.refuse(node, f"{node.value!r} is not a number")
            case ast.Constant(value=int() | float() as number):
                return self.number(node, number)
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if not isinstance(
                number, bool
            ):
                return self.number(node, -number)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return Expr("neg", (self.read(operand, depth + 1),))
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.read(operand, depth + 1)
            case ast.Name(id=name) if name in LEAVES:
                return Expr(name)
            case ast.Name(id=name):
                meaning = ": x is the true label, y the predicted probability"
                self.refuse(node, f"unknown word '{name}'{_nearest(name, (*VARIABLES, *CONTEXT)) or meaning}")
            case ast.BinOp(op=ast.Pow(), left=base, right=exponent):
                return self.power(node, self.read(base, depth + 1), self.read(exponent, depth + 1))
            case ast.BinOp(op=op, left=left, right=right) if type(op) in INFIX:
                return Expr(INFIX[type(op)], (self.read(left, depth + 1), self.read(right, depth + 1)))
            case ast.BinOp(op=ast.BitXor()):
                self.refuse(node, "a power is written with **, not ^")
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(node, name, arguments, depth)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=module), attr=name)) if name in FUNCTIONS:
                self.refuse(node, f"write {name}(...) without '{module}.'")
            case _:
                self.refuse(node, f"{type(node).__name__} is not allowed")

    def number(self, node: ast.expr, value: float) -> Expr:
        try:
            return constant(value)
        except ExpressionError as error:
            self.refuse(node, str(error))

    def power(self, node: ast.expr, base: Expr, exponent: Expr) -> Expr:
        if exponent == Expr("2"):
            return Expr("square", (base,))
        return self.checked(node, Expr("pow", (base, exponent)))

    def call(self, node: ast.expr, name: str, arguments: list[ast.expr], depth: int) -> Expr:
        if name in LEAVES:
            self.refuse(node, f"{name} is not a function: a product is written with *")
        if name not in FUNCTIONS:
            self.refuse(node, f"unknown function '{name}'{_nearest(name, FUNCTIONS)}")
        arity = OPERATORS[name].arity
        if len(arguments) != arity:
            nested = f": write {name}(a, {name}(b, c))" if name in ("min", "max") and len(arguments) > arity else ""
            self.refuse(node, f"{name} takes {arity} argument{'s' * (arity > 1)}, not {len(arguments)}{nested}")
        return self.checked(node, Expr(name, tuple(self.read(argument, depth + 1) for argument in arguments)))

    def checked(self, node: ast.expr, expr: Expr) -> Expr:
        for position in OPERATORS[expr.symbol].constant_arguments:
            if not expr.children[position].is_constant:
                self.refuse(node, f"argument {position + 1} of {expr.symbol} must be a number")
        return expr

    def refuse(self, node: ast.expr, reason: str) -> NoReturn:
        line = self.source.splitlines()[node.lineno - 1]
        position = len(line.encode()[: node.col_offset].decode(errors="replace")) + 1
        raise ExpressionError(f"{_excerpt(self.source)}, position {position}: {reason}; {ALLOWED}")


def _excerpt(source: str) -> str:
    return repr(source if len(source) <= 60 else source[:57] + "...")


def _nearest(word: str, known: tuple[str, ...]) -> str:
    close = [SYNONYMS[word]] if SYNONYMS.get(word) in known else difflib.get_close_matches(word, known, n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""
