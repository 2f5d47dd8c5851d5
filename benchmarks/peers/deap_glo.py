"""GLO as a skilled user would write it today: DEAP for the trees, pycma for coefficients, plain PyTorch, multiprocessing.

The search has the paper's operators, weights, selection and rules (section III.A), and caches fitness by the text of the
tree; invalid trees are not trained.  It has no check of the derivative and no descent probe, since the paper has none.
"""

from __future__ import annotations

import operator
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cma
from deap import base, creator, gp, tools

from benchmarks.peers import plain
from glo.search import PAPER_WEIGHTS
from glo.tasks import Task

FINALISTS, SEEDS = 12, 5  # of a confirmation
SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "truediv": "/"}


@dataclass(frozen=True)
class Point:
    """The best loss so far, and the seconds since the start of the search."""

    seconds: float
    loss: str


@dataclass
class Result:
    """The best loss of a search, the cost of the search, and the fitness of each tree by its text."""

    best: float = 0.0
    expression: str = ""
    trainings: int = 0
    generations: int = 0
    history: list[float] = field(default_factory=list)
    known: dict[str, float] = field(default_factory=dict)


def train(task: Task, work: plain.Work) -> float:
    """Train as `plain.train` does; a loss that raises an error, such as 1/(1 - 1) or one without a gradient, is worth 0."""
    try:
        return plain.train(task, work)
    except (ArithmeticError, RuntimeError, TypeError):
        return 0.0


def _primitives() -> gp.PrimitiveSet:
    primitives = gp.PrimitiveSet("loss", 2)
    primitives.renameArguments(ARG0="x", ARG1="y")
    for function in (operator.add, operator.sub, operator.mul, operator.truediv):
        primitives.addPrimitive(function, 2)
    for name in ("log", "sqrt", "square"):
        primitives.addPrimitive(lambda a: a, 1, name=name)
    primitives.addTerminal(1)
    primitives.addTerminal(-1)
    return primitives


def source(tree: gp.PrimitiveTree, coefficients: Sequence[float] | None = None) -> str:
    """The tree as Python source, e.g. "((x)*log((y)))", with a coefficient before every node if they are given."""
    stack: list[Any] = []
    for position, node in reversed(list(enumerate(tree))):
        factor = "" if coefficients is None else f"{coefficients[position]!r}*"
        if node.arity == 0:
            stack.append(f"({factor}({node.value}))")
        elif node.name in SYMBOLS:
            stack.append(f"({factor}({stack.pop()}{SYMBOLS[node.name]}{stack.pop()}))")
        else:
            stack.append(f"({factor}{node.name}({stack.pop()}))")
    return stack[0]


def tune(
    task: Task, cores: int, text: str, seed: int, steps: int, learning_rate: float, iterations: int, population: int
) -> Result:
    """The paper's second phase: CMA-ES on a coefficient for every node (section III.B); `text` is in DEAP's prefix form."""
    tree = gp.PrimitiveTree.from_string(text, _primitives())
    options = {"seed": 1 + seed, "popsize": population, "CMA_active": False, "verbose": -9}
    strategy, result = cma.CMAEvolutionStrategy([1.0] * len(tree), 1.5, options), Result()
    with plain.workers(task, cores, train) as train_all:
        for iteration in range(iterations):
            asked = strategy.ask()
            texts = [source(tree, [float(number) for number in numbers]) for numbers in asked]
            found = train_all([plain.Work(each, learning_rate, steps, 100, seed) for each in texts])
            strategy.tell(asked, [-fitness for fitness in found])
            result.trainings += len(found)
            result.generations = iteration + 1
            if max(found) > result.best:
                result.best, result.expression = max(found), texts[found.index(max(found))]
    return result


def random_tree(primitives: gp.PrimitiveSet, max_depth: int) -> list[Any]:
    """Nodes in prefix order, drawn by the paper's weights; at the maximum depth only leaves are drawn."""
    leaves = primitives.terminals[object]
    elements = leaves + primitives.primitives[object]
    choices = elements if max_depth else leaves
    node = random.choices(choices, [_weight(element) for element in choices])[0]
    tree = [node]
    for _ in range(node.arity):
        tree += random_tree(primitives, max_depth - 1)
    return tree


def _weight(element: Any) -> float:
    name = SYMBOLS.get(element.name, element.name) if element.arity else str(element.value)
    return PAPER_WEIGHTS[name]


def search(
    task: Task,
    cores: int,
    seed: int,
    steps: int,
    rates: Sequence[float],
    population: int = 80,
    generations: int = 20,
    elites: int = 6,
    on_generation: Callable[[Result], None] = lambda result: None,
) -> Result:
    """The paper's genetic algorithm; each tree counts at the best of the learning rates.

    Args:
        on_generation: called with the result so far.
    """
    random.seed(seed)
    primitives = _primitives()
    if not hasattr(creator, "LossFitness"):
        creator.create("LossFitness", base.Fitness, weights=(1.0,))
        creator.create("LossTree", gp.PrimitiveTree, fitness=creator.LossFitness)  # pyright: ignore[reportAttributeAccessIssue]
    tree_class: Any = creator.LossTree  # pyright: ignore[reportAttributeAccessIssue]
    trees = [tree_class(random_tree(primitives, 2)) for _ in range(population)]
    known: dict[str, float] = {}
    result = Result()
    with plain.workers(task, cores, train) as train_all:
        for generation in range(generations):
            texts = [source(tree) for tree in trees]
            new = [t for t in dict.fromkeys(texts) if t not in known and "x" in t.replace("exp", "") and "y" in t]
            work = [plain.Work(t, rate, steps, 100, seed) for t in new for rate in rates]
            found = train_all(work)
            known |= {t: max(found[i * len(rates) : (i + 1) * len(rates)]) for i, t in enumerate(new)}
            result.trainings += len(work)
            for tree, text in zip(trees, texts, strict=True):
                tree.fitness.values = (known.get(text, 0.0),)
            best = max(trees, key=lambda tree: tree.fitness.values[0])
            if best.fitness.values[0] > result.best:
                result.best, result.expression = best.fitness.values[0], source(best)
            result.history.append(result.best)
            result.generations = generation + 1
            result.known = known
            on_generation(result)
            trees = _next(trees, primitives, population, elites, tree_class)
    return result


def skilled(
    task: Task, cores: int, seed: int, steps: int, rates: Sequence[float], population: int, generations: int, elites: int
) -> list[Point]:
    """A careful user's search: each tree at several learning rates, and the best twelve again on five fresh seeds.

    Returns:
        The best loss by when; the last point is the result of the confirmation.
    """
    started, points = time.perf_counter(), list[Point]()

    def note(result: Result) -> None:
        if result.expression and (not points or points[-1].loss != result.expression):
            points.append(Point(time.perf_counter() - started, result.expression))

    result = search(task, cores, seed, steps, rates, population, generations, elites, note)
    finalists = sorted(result.known, key=lambda text: -result.known[text])[:FINALISTS]
    seeds = range(seed + 1000, seed + 1000 + SEEDS)
    work = [plain.Work(text, rate, steps, 100, each) for text in finalists for rate in rates for each in seeds]
    with plain.workers(task, cores, train) as train_all:
        found = iter(train_all(work))
    means = {text: max(statistics.mean(next(found) for _ in seeds) for _ in rates) for text in finalists}
    return [*points, Point(time.perf_counter() - started, max(means, key=lambda text: means[text]))]


def _next(trees: list[Any], primitives: gp.PrimitiveSet, population: int, elites: int, tree_class: Any) -> list[Any]:
    """The next generation: elites, and children of parents selected by roulette, by crossover and the paper's mutations."""
    kept = [tree_class(tree) for tree in tools.selBest(trees, elites)]
    children: list[Any] = []
    while len(children) < population - elites:
        fit = any(tree.fitness.values[0] > 0 for tree in trees)
        pair = tools.selRoulette(trees, 2) if fit else random.choices(trees, k=2)
        mother, father = tree_class(pair[0]), tree_class(pair[1])
        if random.random() < 0.8 and len(mother) > 1 and len(father) > 1:
            mother, father = gp.cxOnePoint(mother, father)
        children += [_mutated(child, primitives, tree_class) for child in (mother, father)]
    return kept + children[: population - elites]


def _mutated(tree: Any, primitives: gp.PrimitiveSet, tree_class: Any) -> Any:
    before = tree_class(tree)
    if random.random() < 0.05 * len(tree):
        (tree,) = gp.mutNodeReplacement(tree, primitives)
    if random.random() < 0.025 * len(tree):
        (tree,) = gp.mutShrink(tree)
    if random.random() < 0.025 * len(tree):
        (tree,) = gp.mutInsert(tree, primitives)
    return tree if tree.height <= 17 else before
