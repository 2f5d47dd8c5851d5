"""Refuse constraints that leave nothing to search for, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from glo.errors import ConfigError
from glo.evaluation import constraints_of, stages_of
from glo.expr import OPERATORS, Expr, parse
from glo.records import Link, PhaseKind
from glo.search import GeneticConfig, fitting, trees_by_size
from glo.search.nesting import forbidden_nesting, read_nestings
from glo.study.config import StudyConfig
from glo.tasks import Problem

MADE = 7_000  # trees to look at; with the paper's operators and leaves, all of up to 5 nodes
BATCH = 100
FEW_NODES, LOW = 7, 3  # limits of the size and the depth that may leave no loss


def check_feasible(config: StudyConfig, task: Problem) -> None:
    """Refuse a search whose constraints leave no loss, as far as that can be seen within a second.

    Raises:
        ConfigError: if two properties exclude each other, the constraints exclude a start expression, or no expression
            within the limits passes the checks before a training.
    """
    if task.link is Link.IDENTITY and {"bounded", "convex"} <= {*config.funnel.constraints}:
        raise ConfigError("in regression no loss is both bounded and convex: leave out one of these constraints")
    if PhaseKind.GENETIC not in config.phases:
        return
    reason_against = exclusion(config, task)
    for text in config.genetic.start:
        if (reason := reason_against(parse(text))) is not None:
            raise ConfigError(f"the start expression {text} is excluded, {reason}: leave it out, or drop the constraint")
    if config.genetic.start:
        return
    operators = [symbol for symbol in _symbols(config.genetic) if symbol in OPERATORS]
    if not any(OPERATORS[name].arity - len(OPERATORS[name].constant_arguments) == 2 for name in operators):
        raise ConfigError("no operator joins x and y: give one of two arguments, such as *, a weight (genetic.weights)")
    limits = _limits(config)
    if limits and _leaves_nothing(config, task):
        listed = "; ".join([f"the operators {', '.join(operators)}", *limits])
        raise ConfigError(f"no loss passes the checks before a training with {listed}: allow more")


def exclusion(config: StudyConfig, task: Problem) -> Callable[[Expr], str | None]:
    """Says why the constraints exclude an expression; None if they do not."""
    check, nestings = constraints_of(task, config.funnel.constraints), read_nestings(config.genetic.forbidden)

    def reason(expression: Expr) -> str | None:
        nesting = forbidden_nesting(expression, nestings)
        return check([expression])[0] if nesting is None else f"{nesting} is forbidden"

    return reason


def _limits(config: StudyConfig) -> list[str]:
    """The options that limit expressions so much that perhaps none is left, as texts."""
    genetic = config.genetic
    limits = {
        f"genetic.max_nodes={genetic.max_nodes}": genetic.max_nodes <= FEW_NODES,
        f"genetic.max_depth={genetic.max_depth}": genetic.max_depth <= LOW,
        f"genetic.forbidden={', '.join(genetic.forbidden)}": genetic.forbidden,
        f"funnel.constraints={', '.join(config.funnel.constraints)}": config.funnel.constraints,
    }
    return [text for text, limiting in limits.items() if limiting]


def _leaves_nothing(config: StudyConfig, task: Problem) -> bool:
    """Whether there are few expressions within the limits, and none passes the checks before a training."""
    genetic = config.genetic
    before, after = stages_of(task, config.training, config.funnel)
    trees = trees_by_size(_symbols(genetic), genetic.max_nodes, fitting(genetic))
    looked_at = islice(trees, MADE)
    while batch := list(islice(looked_at, BATCH)):
        passing = [tree for tree in batch if tree is not None]
        for _, check in (*before, *after):
            passing = [tree for tree, reason in zip(passing, check(passing), strict=True) if reason is None]
        if passing:
            return False
    return not list(islice(trees, 1))


def _symbols(genetic: GeneticConfig) -> list[str]:
    """The operators and leaves of a search, with some of the numbers that mutations make."""
    symbols = [symbol for symbol, weight in genetic.weights.items() if weight > 0]
    numbers = ["2"] if any(Expr(symbol).is_integer for symbol in symbols) else []
    return list(dict.fromkeys([*symbols, *numbers, *(["0.5"] if genetic.constants > 0 else [])]))
