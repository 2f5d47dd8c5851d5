"""Candidates over several seeds: one outcome for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from glo.evaluation.protocol import Evaluator, Key
from glo.expr import Expr
from glo.records import Job, Outcome, Status


class SeedAverage:
    """Evaluates each candidate with every seed.

    Args:
        evaluator: of the single jobs.
        seeds: over which a candidate's fitness is averaged.
        rates: learning rates by expression; the others are trained at all rates of the ladder.
    """

    def __init__(self, evaluator: Evaluator, seeds: Sequence[int], rates: Mapping[str, float] | None = None) -> None:
        self._evaluator, self._seeds, self._rates = evaluator, tuple(seeds), rates or {}
        self._known: dict[int, dict[int, Outcome]] = {}  # outcomes by seed of each candidate under way

    @property
    def slots(self) -> int:
        """How many candidates are worth having under way at once."""
        return self._evaluator.slots

    def __len__(self) -> int:
        """How many candidates are under way."""
        return len(self._known)

    def submit(self, candidates: Mapping[int, Expr]) -> None:
        """Start to evaluate candidates, by number."""
        self._known |= {number: {} for number in candidates}
        jobs: dict[Key, Job] = {
            (number, seed): Job(expression, seed, self._rates.get(str(expression)), number)
            for number, expression in candidates.items()
            for seed in self._seeds
        }
        self._evaluator.submit(jobs)

    def next(self) -> dict[int, Outcome]:
        """Wait for candidates that have an outcome with every seed: the averaged outcomes, by number."""
        averages: dict[int, Outcome] = {}
        while not averages:
            for key, outcome in self._evaluator.next().items():
                assert isinstance(key, tuple)  # noqa: S101 - the keys are those of submit
                number, seed = key
                self._known[number][seed] = outcome
                if len(self._known[number]) == len(self._seeds):
                    known = self._known.pop(number)
                    averages[number] = averaged([known[each] for each in self._seeds])
        return averages

    def close(self) -> None:
        """Give up what is under way."""
        self._known.clear()
        self._evaluator.close()


def averaged(outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome for a candidate that was evaluated with several seeds.

    The fitness is the mean; the learning rate is the one that was best most often (the lowest of several).  A candidate
    that fails with any seed has failed: a failure is not averaged in.
    """
    failed = [outcome for outcome in outcomes if outcome.status is not Status.TRAINED]
    if failed or len(outcomes) == 1:
        return (failed or outcomes)[0]
    rates = Counter(sorted(outcome.learning_rate or 0.0 for outcome in outcomes))
    fitness = sum(outcome.fitness for outcome in outcomes) / len(outcomes)
    return replace(outcomes[0], fitness=fitness, learning_rate=rates.most_common(1)[0][0])
