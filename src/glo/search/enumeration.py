"""Every expression up to a depth, each loss once, as a `Search`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

from pydantic import Field, PositiveInt

from glo.errors import ConfigError
from glo.expr import OPERATORS, Expr
from glo.records import Config, Outcome
from glo.search.nesting import forbidden_nesting, read_nestings
from glo.search.protocol import Screen

MAX_TREES = 2_000_000  # it takes about 0.1 ms to screen a tree
BATCH = 1000  # trees to screen in one call
EXPONENTS = tuple(Expr(str(number)) for number in (2, 3, 4))


class EnumerationConfig(Config):
    """How far to enumerate.

    Attributes:
        max_depth: of the trees; with the paper's operators there are 25,844 up to depth 2.
        batch: losses per generation, one more in the last but one if the last would be full; a crash loses only the current
            generation.
    """

    max_depth: int = Field(default=2, ge=1, le=6)
    batch: PositiveInt = 32


class EnumerationSearch:
    """Asks for each distinct loss that passes the screen, the smallest trees first.

    Args:
        config: the options.
        weights: the operators and leaves with a weight above 0 are used.
        screen: decides which expressions are worth a training, and which are the same loss.
        forbidden: nestings that no tree may have, as in `GeneticConfig`.

    Raises:
        ConfigError: as `enumerable`.
    """

    def __init__(
        self, config: EnumerationConfig, weights: Mapping[str, float], screen: Screen, forbidden: Sequence[str] = ()
    ) -> None:
        symbols, nestings = enumerable(config, weights), read_nestings(forbidden)
        trees = (tree for tree in all_trees(symbols, config.max_depth) if forbidden_nesting(tree, nestings) is None)
        self._batches = _batches(_distinct(trees, screen), config.batch)
        self._next = next(self._batches, [])

    @property
    def done(self) -> bool:
        return not self._next

    def ask(self) -> list[Expr]:
        return list(self._next)

    def tell(self, outcomes: Sequence[Outcome]) -> None:  # noqa: ARG002 - outcomes change nothing
        self._next = next(self._batches, [])


def enumerable(config: EnumerationConfig, weights: Mapping[str, float]) -> list[str]:
    """The operators and leaves with a weight above 0.

    Raises:
        ConfigError: if they make too many trees.
    """
    symbols = [symbol for symbol, weight in weights.items() if weight > 0]
    count = count_trees(symbols, config.max_depth)
    if count > MAX_TREES:
        raise ConfigError(
            f"there are {count:.3g} expressions up to depth {config.max_depth}, and {MAX_TREES:,} is the most that can be "
            "enumerated: lower the depth, or use fewer operators, e.g. --set genetic.weights.square=0"
        )
    return symbols


def _distinct(trees: Iterator[Expr], screen: Screen) -> Iterator[Expr]:
    """The first tree of each fingerprint that passes the screen."""
    seen: set[str] = set()
    while batch := list(itertools.islice(trees, BATCH)):
        for tree, fingerprint in zip(batch, screen(batch), strict=True):
            if fingerprint is not None and fingerprint not in seen:
                seen.add(fingerprint)
                yield tree


def _batches(losses: Iterator[Expr], size: int) -> Iterator[list[Expr]]:
    """Batches of this size, of which the last is smaller, so that it can be recognised in the record of a study.

    Where it would be full, the batch before it has one loss more.  Only a single batch may be full, and those of size 1.
    Two batches are screened ahead, so that all trees are screened, and counted, before the last batch is evaluated.
    """
    ahead = list(itertools.islice(losses, 2 * size + 1))
    while ahead:
        taken = size + 1 if len(ahead) == 2 * size > 2 else size
        yield ahead[:taken]
        ahead = [*ahead[taken:], *itertools.islice(losses, 2 * size + 1 - len(ahead[taken:]))]


def all_trees(symbols: Sequence[str], max_depth: int) -> Iterator[Expr]:
    """Every tree of these operators and leaves, once, in order of depth."""
    shallower: list[Expr] = []  # all trees that are less deep than those in `last`
    last = [Expr(symbol) for symbol in symbols if symbol not in OPERATORS]
    yield from last
    operators = [symbol for symbol in symbols if symbol in OPERATORS]
    for depth in range(1, max_depth + 1):
        known, deepest = shallower + last, set(last)
        new = (tree for symbol in operators for tree in _nodes(symbol, known, deepest))
        if depth == max_depth:
            yield from new
            return
        shallower, last = known, list(new)
        yield from last


def _nodes(symbol: str, known: Sequence[Expr], deepest: set[Expr]) -> Iterator[Expr]:
    """The operator on all combinations of known trees that contain one of the deepest."""
    operator = OPERATORS[symbol]
    choices = [EXPONENTS if i in operator.constant_arguments else known for i in range(operator.arity)]
    for children in itertools.product(*choices):
        if any(child in deepest for child in children):
            yield Expr(symbol, children)


def trees_by_size(symbols: Sequence[str], max_nodes: int, fits: Callable[[Expr], bool]) -> Iterator[Expr | None]:
    """Every tree that fits of these operators and leaves, once, in order of size; None for one that does not fit.

    Args:
        max_nodes: of the largest.
        fits: decides on a tree whose subtrees fit; only such trees are subtrees of others.
    """
    sizes: list[list[Expr]] = [[]]  # the trees that fit, by the number of their nodes
    largest = 1
    while len(sizes) <= min(max_nodes, 2 * largest + 1):  # larger ones would have a subtree that does not fit
        sizes.append([])
        for tree in _of_size(symbols, sizes):
            fitting = fits(tree)
            yield tree if fitting else None
            if fitting:
                sizes[-1].append(tree)
                largest = len(sizes) - 1


def _of_size(symbols: Sequence[str], sizes: Sequence[Sequence[Expr]]) -> Iterator[Expr]:
    """All trees of the size of the last of `sizes`, made of the smaller ones."""
    size = len(sizes) - 1
    for symbol in symbols:
        operator = OPERATORS.get(symbol)
        if operator is None:
            yield from [Expr(symbol)] if size == 1 else []
        elif operator.arity == 1:
            yield from (Expr(symbol, (child,)) for child in sizes[size - 1])
        elif operator.constant_arguments:  # the second of two
            yield from (Expr(symbol, (child, exponent)) for child in sizes[max(0, size - 2)] for exponent in EXPONENTS)
        else:
            for left in range(1, size - 1):
                yield from (Expr(symbol, both) for both in itertools.product(sizes[left], sizes[size - 1 - left]))


def count_trees(symbols: Sequence[str], max_depth: int) -> int:
    """The number of trees that `all_trees` yields, computed without making them."""
    leaves = sum(symbol not in OPERATORS for symbol in symbols)
    count = leaves
    for _ in range(max_depth):
        nodes = 0
        for symbol in symbols:
            if symbol in OPERATORS:
                operator = OPERATORS[symbol]
                fixed = len(operator.constant_arguments)
                nodes += count ** (operator.arity - fixed) * len(EXPONENTS) ** fixed
        count = leaves + nodes
    return count
