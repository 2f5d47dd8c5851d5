"""Text: a printed tree is parsed to the same tree, and a text that is not an expression is refused with a reason."""

from __future__ import annotations

import contextlib
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glo.errors import ExpressionError
from glo.expr import MAX_DEPTH, MAX_NODES, OPERATORS, Expr, check_size, constant, parse
from strategies import deep_expressions, expressions

X, Y = Expr("x"), Expr("y")
FUNCTIONS = [row.name for row in OPERATORS.values() if row.precedence is None]


@settings(max_examples=500)
@given(expressions(max_leaves=30))
def test_printed_tree_is_parsed_to_the_same_tree(expr: Expr) -> None:
    assert parse(str(expr)) == expr


@given(deep_expressions())
def test_printed_deep_tree_is_parsed_to_the_same_tree(expr: Expr) -> None:
    assert parse(str(expr)) == expr


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("side", [0, 1])
def test_deepest_tree_of_each_operator_is_parsed(name: str, side: int) -> None:
    row = OPERATORS[name]
    expr = Y
    for _ in range(MAX_DEPTH):
        if row.constant_arguments:
            expr = Expr(name, (expr, constant(-3)))
        else:
            expr = Expr(name, ((expr, X) if side == 0 else (X, expr))[: row.arity] if row.arity == 2 else (expr,))
    assert expr.depth == MAX_DEPTH
    assert parse(str(expr)) == expr


@pytest.mark.parametrize("number", [0, -0.0, 7, -7, 0.1, -0.1, 1e-7, -1e-7, 1e20, -1e20, 5e-324, 2**53])
def test_numbers_on_either_side_of_every_operator(number: float) -> None:
    leaf = constant(number)
    for name, row in OPERATORS.items():
        trees = [Expr(name, (leaf,))] if row.arity == 1 else [Expr(name, (Y, leaf)), Expr(name, (leaf, leaf))]
        for tree in trees:
            assert parse(str(tree)) == tree


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("log(y)-x/y", "log(y) - x/y"),
        ("  x *\tlog( y )  ", "x*log(y)"),
        ("(x\n + y)", "x + y"),
        ("y**2", "square(y)"),
        ("y**3", "pow(y, 3)"),
        ("y**-1", "pow(y, -1)"),
        ("y**0.5", "pow(y, 0.5)"),
        ("-y**2", "neg(square(y))"),
        ("-2**2", "neg(square(2))"),
        ("-x*y", "neg(x)*y"),
        ("-2*y", "-2*y"),
        ("+y", "y"),
        ("+-1", "-1"),
        ("x - (y - 1)", "x - (y - 1)"),
        ("(x - y) - 1", "x - y - 1"),
        ("x/(y*2)", "x/(y*2)"),
        ("1e-7", "1e-07"),
        ("1E20*x", "1e+20*x"),
        (".5", "0.5"),
        ("1_000", "1000"),
    ],
)
def test_texts_and_their_printed_form(text: str, printed: str) -> None:
    assert str(parse(text)) == printed


def test_square_may_be_written_as_a_power() -> None:
    assert parse("y**2") == parse("square(y)") == Expr("square", (Y,))


def refusal(text: str) -> str:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("y + z", 5, "unknown word 'z'"),
        ("log(y) - xx/y", 10, "unknown word 'xx' (did you mean 'x'?)"),
        ("x*lgo(y)", 3, "unknown function 'lgo' (did you mean 'log'?)"),
        ("sqaure(x - y)", 1, "unknown function 'sqaure' (did you mean 'square'?)"),
        ("x + __import__('os')", 5, "unknown function '__import__'"),
        ("__import__('os').system('ls')", 1, "Call is not allowed"),
        ("x*y^2", 1, "a power is written with **, not ^"),
        ("x*ln(y)", 3, "unknown function 'ln' (did you mean 'log'?)"),
        ("x*np.log(y)", 3, "write log(...) without 'np.'"),
        ("x(1 - y)", 1, "x is not a function: a product is written with *"),
        ("t*log(y)", 1, "unknown word 't': x is the true label, y the predicted probability"),
        ("max(x, y, 1)", 1, "max takes 2 arguments, not 3: write max(a, max(b, c))"),
        ("x*log(y, x)", 3, "log takes 1 argument, not 2"),
        ("x*log()", 3, "log takes 1 argument, not 0"),
        ("min(x)", 1, "min takes 2 arguments, not 1"),
        ("1 + x**y", 5, "must be a number"),
        ("pow(x, y)", 1, "must be a number"),
        ("x**(1 + 1)", 1, "must be a number"),
        ("x + y.real", 5, "Attribute is not allowed"),
        ("y + 1e999", 5, "not finite"),
        ("y + -1e999", 5, "not finite"),
        ("y + 9007199254740993", 5, "too large"),
        ("lambda: x", 1, "Lambda is not allowed"),
        ("x + 'y'", 5, "'y' is not a number"),
        ("x + b'y'", 5, "b'y' is not a number"),
        ("x + True", 5, "True is not a number"),
        ("x + -True", 6, "True is not a number"),
        ("x + None", 5, "None is not a number"),
        ("x + 1j", 5, "1j is not a number"),
        ("x + -1j", 6, "1j is not a number"),
        ("x < y", 1, "Compare is not allowed"),
        ("x and y", 1, "BoolOp is not allowed"),
        ("x % y", 1, "BinOp is not allowed"),
        ("x // y", 1, "BinOp is not allowed"),
        ("~x", 1, "UnaryOp is not allowed"),
        ("[x, y]", 1, "List is not allowed"),
        ("x, y", 1, "Tuple is not allowed"),
        ("x[0]", 1, "Subscript is not allowed"),
        ("log(*x)", 5, "Starred is not allowed"),
        ("log(a=x)", 1, "Call is not allowed"),
        ("(log)(y)(x)", 1, "Call is not allowed"),
        ("x if y else 1", 1, "IfExp is not allowed"),
        ("f'{x}'", 1, "JoinedStr is not allowed"),
        ("x + ...", 5, "not allowed"),
        ("é*z", 1, "unknown word 'é'"),
        ("(é*z)", 2, "unknown word 'é'"),
        # Python reads this wide x, three bytes long, as x: the position counts characters.
        ("\N{FULLWIDTH LATIN SMALL LETTER X} + z", 5, "unknown word 'z'"),
    ],
)
def test_errors_name_the_position_the_reason_and_the_allowed_words(text: str, position: int, reason: str) -> None:
    message = refusal(text)
    assert reason in message
    assert f"position {position}:" in message
    assert repr(text) in message
    assert message.endswith(f"allowed are x, y, prior, progress, numbers, + - * / ** and {', '.join(FUNCTIONS)}")


@pytest.mark.parametrize("text", ["log(y", "x +", "x y", "*x", "x; y", "x = 1", "x := 1", "import os", "x))", "'x", "$"])
def test_text_that_is_not_python_is_refused(text: str) -> None:
    message = refusal(text)
    assert "is not an expression" in message
    assert "allowed are x, y, prior, progress, numbers" in message


@pytest.mark.parametrize("text", ["", " ", "\n\t "])
def test_empty_text_is_refused(text: str) -> None:
    assert "empty" in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x\0", id="null"),
        pytest.param("\ud800", id="surrogate"),
        pytest.param("(" * 5_000, id="brackets"),
        pytest.param("(" * 4_999 + "x" + ")" * 4_999, id="closed-brackets"),
        pytest.param("-" * 9_999 + "x", id="minus"),
        pytest.param("x" + "+x" * 4_999, id="sum"),
        pytest.param("x" + "**2" * 3_000, id="powers"),
        pytest.param("2**" * 3_000 + "x", id="tower"),
        pytest.param("x" + ".a" * 4_999, id="attributes"),
        pytest.param("x" + "()" * 4_999, id="calls"),
        pytest.param("x" + "[0]" * 3_000, id="subscripts"),
        pytest.param("not " * 2_000 + "x", id="not"),
        pytest.param("lambda:" * 1_400 + "x", id="lambdas"),
        pytest.param("1" * 5_000, id="digits"),
        pytest.param("0x" + "f" * 300, id="hexadecimal"),
        # As a decimal number this has over 4,300 digits, which Python refuses to print by default.
        pytest.param("0x" + "f" * 5_000, id="long-hexadecimal"),
        pytest.param("x - 0b" + "1" * 9_000 + "00000000", id="binary"),
    ],
)
def test_hostile_text_is_refused(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize("signs", [500, 970, 990, 1_500, 5_000, 9_999])
def test_many_plus_signs_are_parsed_or_refused(signs: int) -> None:
    with contextlib.suppress(ExpressionError):
        assert parse("+" * signs + "x") == X


@pytest.mark.parametrize("value", [None, 3, b"x", ["x"], X])
def test_argument_that_is_not_a_text_is_refused(value: object) -> None:
    with pytest.raises(ExpressionError, match=f"not {type(value).__name__}"):
        parse(value)  # pyright: ignore[reportArgumentType]


def test_length_limit() -> None:
    assert parse("y" + " " * 9_999) == Y
    assert "10,001 characters" in refusal("y" + " " * 10_000)


def test_error_for_a_long_text_quotes_only_its_beginning() -> None:
    assert len(refusal("z + " + "x*" * 1_000 + "x")) < 300


def test_depth_limit() -> None:
    assert parse("log(" * 100 + "y" + ")" * 100).depth == MAX_DEPTH
    assert parse("(" * 99 + "x" + " + y)" * 99 + " + 1").depth == MAX_DEPTH
    for text in ("log(" * 101 + "y" + ")" * 101, "x" + " + y" * 101, "-" * 101 + "y", "log(" * 100 + "y*y" + ")" * 100):
        assert "at most 100 deep" in refusal(text)


def test_node_limit() -> None:
    five_hundred = Y
    trees = [Y] * 500
    while len(trees) > 1:  # join neighbours, so that the tree stays shallow
        trees = [Expr("+", (a, b)) for a, b in zip(trees[::2], trees[1::2], strict=False)] + trees[len(trees) & ~1 :]
        five_hundred = trees[0]
    most = Expr("log", (five_hundred,))
    assert most.nodes == MAX_NODES
    assert parse(str(most)) == most
    for more in (Expr("log", (most,)), Expr("+", (five_hundred, parse("x + y")))):
        assert "at most 1000 nodes" in refusal(str(more))


# Words of the language, words of Python, other words, and white space of every kind.
WORDS = [
    *(
        "x",
        "y",
        "x",
        "y",
        "1",
        "0",
        "2.5",
        "1e5",
        "1e999",
        "0x1f",
        "1_0",
        "1j",
        "True",
        "None",
        "_",
        "z",
        "é",
        "ｘ",
        "²",
    ),
    *("log", "square", "sqrt", "pow", "min", "neg", "abs", "+", "-", "*", "/", "**", "(", ")", "(", ")", ",", ","),
    *("//", "%", ".", ":", ";", "=", ":=", "==", "<", "~", "@", "[", "]", "{", "}", "#", "'", '"', "'''", "f'", "b'"),
    *("lambda", "if", "else", "for", "in", "not", "and", "or", "is", "await", "yield", "import", "\\", "\\\n", "\\d"),
    *(" ", "\n", "\r\n", "\t", "\f", "\x1c", "\x00", "\u2028", "\N{NO-BREAK SPACE}", "\ud800"),
]
soups = st.builds(lambda joint, words: joint.join(words), st.sampled_from([" ", ""]), st.lists(st.sampled_from(WORDS)))


@st.composite
def damaged_texts(draw: st.DrawFn) -> str:
    """The text of an expression of which a part is replaced."""
    text = str(draw(expressions(max_leaves=6)))
    start = draw(st.integers(0, len(text)))
    stop = draw(st.integers(start, min(len(text), start + 4)))
    return text[:start] + draw(st.sampled_from(WORDS) | st.text(max_size=3)) + text[stop:]


@settings(max_examples=600)
@given(st.text(max_size=60) | soups | damaged_texts())
@example("(\n" * 30 + "z")
@example("x\x0c + z")
@example("(x\u2028)")
@example("# -*- coding: utf-7 -*-\nx")
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        expr = parse(text)
    except ExpressionError:
        return
    assert parse(str(check_size(expr))) == expr


@pytest.mark.parametrize("text", ["'\\d'", "1if x else y", "1(y)", "1or x", "x is 1", "'x'[y]", "(1)(2)", '"\\8" + x'])
def test_refused_text_causes_no_warning(text: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        refusal(text)
    assert [str(warning.message) for warning in caught] == []
