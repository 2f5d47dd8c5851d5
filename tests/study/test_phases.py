"""Runs of several phases: what each asks and over which seeds it is judged; tuned, enumerated, resumed, and refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from callbacks import Following, Interrupting
from glo.errors import ConfigError, GloError, ReplayError, StudyError
from glo.evaluation import TrainingEvaluator, averaged, evaluate
from glo.execution import InlineExecutor
from glo.expr import Expr, parse
from glo.records import Job, Outcome, PhaseKind, Stage, Status, Training, TrainingConfig, derive_seeds, new_counts
from glo.store import GenerationRecord, Store
from glo.study import StudyConfig, StudyResult, TaskConfig, discover, enumerate_losses, study_states, tune_coefficients
from glo.study.phases import Phase, phases
from glo.tasks import Task
from glo.training import train_single

MakeTask = Callable[..., Task]
Start = Callable[..., StudyResult]
BAIKAL = "log(y) - x/y"
ONE_FLIP = 1.5 / 60  # of the 60 validation samples of `make_task`: two ways to train may see one of them differently
FEW = "genetic.weights={x = 1.0, y = 1.0, log = 1.0, '*' = 1.0, '-' = 1.0, '/' = 1.0}"


def trained(fitness: float, rate: float = 0.1, expression: str = "x*y", status: Status = Status.TRAINED) -> Outcome:
    """An outcome of a training."""
    return Outcome(expression, expression, status, Stage.TRAINING, "", fitness, rate)


# The mean over seeds.


def test_fitness_is_averaged_over_the_seeds() -> None:
    found = averaged([trained(0.5), trained(0.9), trained(0.7)])
    assert found.fitness == pytest.approx(0.7)
    assert replace(found, fitness=0.0) == trained(0.0)


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [([0.1, 0.3, 0.3], 0.3), ([0.3, 0.1, 0.1], 0.1), ([0.3, 0.1], 0.1), ([1.0, 0.3, 1.0, 0.3, 0.1], 0.3), ([3.0, 3.0], 3.0)],
)
def test_the_learning_rate_is_the_one_most_often_best(rates: list[float], chosen: float) -> None:
    """Whatever the fitness it reached; of equals the lowest."""
    outcomes = [trained(0.1 * number, rate) for number, rate in enumerate(rates)]
    assert averaged(outcomes).learning_rate == averaged(outcomes[::-1]).learning_rate == chosen


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.TRAINED])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_candidate_that_fails_with_one_seed_has_failed(status: Status, position: int) -> None:
    failed = replace(trained(0.0, status=status), reason="why", learning_rate=None)
    outcomes = [trained(0.9), trained(0.8)]
    assert averaged([*outcomes[:position], failed, *outcomes[position:]]) == failed


@pytest.mark.parametrize("outcome", [trained(0.3, 0.1), trained(0.1, 0.2, status=Status.STOPPED)])
def test_one_outcome_stays_as_it_is(outcome: Outcome) -> None:
    assert averaged([outcome]) == outcome


# The phases of a run, without a training.


def config_of(*phases: PhaseKind, **options: Any) -> StudyConfig:
    """A small run of these phases, with early stopping."""
    values: dict[str, Any] = {
        "task": {"name": "points"},
        "phases": phases,
        "generations": 2,
        "genetic": {"population": 6, "elites": 1, "viable": True},
        "coefficients": {"iterations": 2, "population": 4, "confirmations": 3},
        "enumeration": {"max_depth": 1},
        "training": {"learning_rates": [0.1, 1.0], "early_stop": 0.25},
    }
    return StudyConfig.model_validate({**values, **options})


def usable(expressions: Sequence[Expr]) -> list[str | None]:
    """A screen that lets each text pass once that has label and prediction."""
    return [str(e) if e.uses("x") and e.uses("y") else None for e in expressions]


Walk = list[tuple[Phase, list[list[Expr]]]]


def walked(config: StudyConfig, fitness: Callable[[Expr], float] = lambda e: 0.5) -> Walk:
    """Each phase with what it asked; what has label and prediction is trained, and a negative fitness is for a failure."""
    history: list[GenerationRecord] = []
    walk: Walk = []

    def judged(expression: Expr) -> Outcome:
        value = fitness(expression) if usable([expression])[0] else -1.0
        status = Status.TRAINED if value >= 0 else Status.STOPPED
        return trained(abs(value), expression=str(expression), status=status)

    for phase in phases(config, usable, history):
        asked: list[list[Expr]] = []
        while not phase.search.done:
            asked.append(phase.search.ask())
            outcomes = [judged(expression) for expression in asked[-1]]
            phase.search.tell(outcomes)
            history.append(GenerationRecord(len(history), phase.kind, "", outcomes, new_counts(), 0.0))
        walk.append((phase, asked))
    return walk


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ([PhaseKind.GENETIC], [PhaseKind.GENETIC]),
        ([PhaseKind.ENUMERATION], [PhaseKind.ENUMERATION]),
        ([PhaseKind.GENETIC, PhaseKind.COEFFICIENTS], [PhaseKind.GENETIC, PhaseKind.COEFFICIENTS, PhaseKind.CONFIRMATION]),
        (
            [PhaseKind.ENUMERATION, PhaseKind.COEFFICIENTS],
            [PhaseKind.ENUMERATION, PhaseKind.COEFFICIENTS, PhaseKind.CONFIRMATION],
        ),
    ],
)
def test_phases_in_order(kinds: list[PhaseKind], expected: list[PhaseKind]) -> None:
    assert [phase.kind for phase, _ in walked(config_of(*kinds))] == expected


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_seeds(seed: int, repeats: int) -> None:
    """The run's own seed comes first; what confirms has seeds that nothing else of the run has, nor a comparison."""
    walk = walked(config_of(PhaseKind.GENETIC, PhaseKind.COEFFICIENTS, seed=seed, repeats=repeats))
    (genetic, tuning, confirmation) = (phase.seeds for phase, _ in walk)
    assert genetic == tuning
    assert genetic[0] == seed
    assert len(set(genetic)) == len(genetic) == repeats
    assert len(set(confirmation)) == len(confirmation) == 3
    others = {*genetic, *derive_seeds(seed, "tuning", 5), *derive_seeds(seed, "test", 20)}
    assert not others & set(confirmation)


def test_another_run_has_other_seeds() -> None:
    walks = [walked(config_of(PhaseKind.GENETIC, PhaseKind.COEFFICIENTS, seed=seed, repeats=3)) for seed in (0, 1)]
    for (one, _), (other, _) in zip(*walks, strict=True):
        assert not set(one.seeds) & set(other.seeds)


def test_fewer_repeats_are_the_first_of_more() -> None:
    """So that what is known of the first seeds is of use."""
    few, many = (walked(config_of(PhaseKind.ENUMERATION, repeats=repeats))[0][0].seeds for repeats in (2, 4))
    assert many[:2] == few


@pytest.mark.parametrize(("repeats", "confirmations"), [(1, 3), (3, 3), (1, 1)])
def test_nothing_is_given_up_early_where_seeds_are_averaged(repeats: int, confirmations: int) -> None:
    tuning = {"iterations": 1, "population": 4, "confirmations": confirmations}
    config = config_of(PhaseKind.GENETIC, PhaseKind.COEFFICIENTS, repeats=repeats, coefficients=tuning)
    patient = config.training.model_copy(update={"early_stop": 0.0})
    for phase, _ in walked(config):
        assert phase.training == (config.training if len(phase.seeds) == 1 else patient)


@pytest.mark.parametrize("kind", [PhaseKind.GENETIC, PhaseKind.ENUMERATION])
def test_tuning_starts_from_the_best_of_the_phase_before(kind: PhaseKind) -> None:
    """Also where that was asked early, and though one that failed claims more."""
    config = config_of(kind, PhaseKind.COEFFICIENTS)
    first = [expression for expression in walked(config_of(kind))[0][1][0] if usable([expression])[0]]
    best, failed = first[1], first[2]
    walk = walked(config, lambda e: 0.9 if e == best else -0.95 if e == failed else 0.5)
    (confirmed,) = walk[-1][1]
    assert confirmed[0] == best
    samples = [expression for asked in walk[1][1] for expression in asked]
    assert len(samples) == 2 * 4
    # Only numbers are new in them.
    assert {sample.uses("x") and sample.uses("y") for sample in samples} == {True}
    assert best not in samples


def test_start_best_sample_and_mean_are_confirmed() -> None:
    config = config_of(
        PhaseKind.COEFFICIENTS,
        coefficients={"expression": BAIKAL, "iterations": 3, "population": 6, "confirmations": 2},
        training={"learning_rates": [0.1, 1.0]},
    )
    asked: list[Expr] = []

    def fitness(expression: Expr) -> float:
        asked.append(expression)
        return 0.8 if len(asked) == 4 else 0.5

    tuning, confirmation = walked(config, fitness)
    samples = [expression for generation in tuning[1] for expression in generation]
    ((start, best, mean),) = confirmation[1]
    assert start == parse(BAIKAL)
    assert best == samples[3]
    assert mean not in [start, *samples]


def test_nothing_is_tuned_where_nothing_trained() -> None:
    walk = walked(config_of(PhaseKind.GENETIC, PhaseKind.COEFFICIENTS), lambda e: -0.9)
    assert [phase.kind for phase, _ in walk] == [PhaseKind.GENETIC]


# What a run with several phases comes to, from a made-up history.


def of_phases(*records: tuple[PhaseKind, list[Outcome]], **options: Any) -> StudyResult:
    """A discovery with a generation for each of these."""
    history = [GenerationRecord(n, phase, "", outcomes, new_counts(), 1.0) for n, (phase, outcomes) in enumerate(records)]
    config = {"phases": [PhaseKind.GENETIC, PhaseKind.COEFFICIENTS], "coefficients": {"confirmations": 2}, "repeats": 4}
    return StudyResult(
        "run", StudyConfig.model_validate({"task": TaskConfig(name="points"), **config, **options}), {}, history
    )


GENETIC = (PhaseKind.GENETIC, [trained(0.97, expression="x*y"), trained(0.6, expression="x*log(y)")])
TUNING = (PhaseKind.COEFFICIENTS, [trained(0.99, expression="2*x*y"), trained(0.98, expression="3*x*y")])


def test_finalists_are_those_that_were_confirmed() -> None:
    """Their means over fresh seeds count; that others were once ahead does not."""
    confirmed = [trained(0.90, expression="x*y"), trained(0.92, expression="2*x*y"), trained(0.91, expression="2.5*x*y")]
    found = of_phases(GENETIC, TUNING, (PhaseKind.CONFIRMATION, confirmed))
    assert [outcome.fitness for outcome in found.finalists(9)] == [0.92, 0.91, 0.90]
    assert (found.expression, found.fitness, found.seeds) == ("2*x*y", 0.92, 2)
    assert found.tuning is not None
    assert [row["candidate"] for row in found.tuning["confirmation"]] == ["start", "best sample", "mean"]
    assert [row["fitness"] for row in found.tuning["confirmation"]] == [0.90, 0.92, 0.91]


def test_without_a_confirmation_all_are_finalists() -> None:
    found = of_phases(GENETIC, TUNING)
    assert [outcome.fitness for outcome in found.finalists(9)] == [0.99, 0.98, 0.97, 0.6]
    assert found.tuning is None
    assert found.seeds == 4
    assert found.enumerated == []


def test_confirmation_in_which_all_failed_has_no_best() -> None:
    failed = [trained(0.0, expression=text, status=Status.DIVERGED) for text in ("x*y", "2*x*y", "2.5*x*y")]
    found = of_phases(GENETIC, TUNING, (PhaseKind.CONFIRMATION, failed))
    assert found.finalists(9) == []
    with pytest.raises(StudyError, match="no loss that trains"):
        _ = found.best
    assert found.tuning is not None


def test_enumerated_losses_are_ranked_and_failures_last() -> None:
    outcomes = [
        trained(0.99, expression="x/y", status=Status.STOPPED),
        trained(0.5, expression="x*y + 1"),
        trained(0.5, expression="x*y"),
        trained(0.0, expression="x - y", status=Status.DIVERGED),
        trained(0.7, expression="x*log(y)"),
    ]
    found = of_phases((PhaseKind.ENUMERATION, outcomes[:3]), (PhaseKind.ENUMERATION, outcomes[3:]))
    assert [outcome.expression for outcome in found.enumerated] == ["x*log(y)", "x*y", "x*y + 1", "x/y", "x - y"]


# Whole runs.


def tune(task: Task, **options: Any) -> StudyResult:
    small: dict[str, Any] = {
        "iterations": 2,
        "population": 4,
        "steps": 15,
        "learning_rates": [0.1, 0.3],
        "settings": ["coefficients.confirmations=3"],
    }
    expression = options.pop("expression", "baikal")
    return tune_coefficients(task, expression, **{**small, **options})


def search_and_tune(task: Task, **options: Any) -> StudyResult:
    tuning = ["coefficients.iterations=2", "coefficients.population=4", "coefficients.confirmations=2"]
    small: dict[str, Any] = {"generations": 2, "population": 6, "steps": 15, "tune": True, "confirm": 0, "settings": tuning}
    return discover(task, **{**small, **options})


def enumerate_few(task: Task, **options: Any) -> StudyResult:
    settings = [FEW, "enumeration.batch=5"]
    small: dict[str, Any] = {"repeats": 2, "steps": 15, "learning_rates": [0.1, 1.0], "settings": settings}
    return enumerate_losses(task, **{**small, **options})


STARTS: dict[str, Start] = {"tune": tune, "search": search_and_tune, "enumerate": enumerate_few}
PHASES = {
    "tune": [PhaseKind.COEFFICIENTS] * 2 + [PhaseKind.CONFIRMATION],
    "search": [PhaseKind.GENETIC] * 2 + [PhaseKind.COEFFICIENTS] * 2 + [PhaseKind.CONFIRMATION],
    "enumerate": [PhaseKind.ENUMERATION] * 4,
}
Whole = Callable[[str], StudyResult]


@pytest.fixture(scope="module")
def whole(make_task: MakeTask, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Each of the runs, never interrupted; made when it is first asked for."""
    folder = tmp_path_factory.mktemp("whole")
    done: dict[str, StudyResult] = {}

    def get(kind: str) -> StudyResult:
        if kind not in done:
            done[kind] = STARTS[kind](make_task(), storage=folder / f"{kind}.db", name="run")
        return done[kind]

    return get


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """The file of a store that is not there yet."""
    return tmp_path / "glo.db"


def recorded(storage: Path) -> int:
    """The number of generations that are recorded."""
    return Store(storage, create=False).study("run").generations


def interrupted(kind: str, task: Task, storage: Path, after: int) -> None:
    """A run of which Ctrl-C left some generations."""

    with pytest.raises(KeyboardInterrupt):
        STARTS[kind](task, storage=storage, name="run", callbacks=[Interrupting(after)])
    assert recorded(storage) == after


def counts(found: StudyResult) -> list[dict[str, tuple[int, int]]]:
    """What each stage did in each generation."""
    return [{stage: (c.candidates, c.rejected) for stage, c in record.funnel.items()} for record in found.history]


@pytest.mark.parametrize("kind", STARTS)
def test_phases_are_recorded(whole: Whole, kind: str) -> None:
    found = whole(kind)
    assert [record.phase for record in found.history] == PHASES[kind]
    rows = found.history_rows()
    assert [row["phase"] for row in rows] == [str(r.phase) for r in found.history for _ in r.outcomes]
    assert len({row["fitness"] for row in rows if row["status"] == "trained"}) > 2, "too small to tell runs apart"
    assert found.config.planned in (None, len(found.history))


@pytest.mark.parametrize("kind", STARTS)
def test_repeated_run_has_the_same_history(whole: Whole, make_task: MakeTask, storage: Path, kind: str) -> None:
    found = STARTS[kind](make_task(), storage=storage)
    assert found.history_digest() == whole(kind).history_digest()
    assert counts(found) == counts(whole(kind))
    following = Following()
    again = STARTS[kind](make_task(), storage=storage, callbacks=[following])
    assert following.replayed == [True] * len(found.history)
    assert again.history == found.history
    other = STARTS[kind](make_task(), storage=storage, seed=1)
    assert other.history_digest() != found.history_digest()


@pytest.mark.parametrize(
    ("kind", "after"), [(kind, after) for kind, phases in PHASES.items() for after in range(1, len(phases))]
)
def test_interrupted_run_ends_as_if_it_had_not_been(
    whole: Whole, make_task: MakeTask, storage: Path, kind: str, after: int
) -> None:
    """Wherever it is left: within a phase, and between two."""
    interrupted(kind, make_task(), storage, after)
    following = Following()
    found = STARTS[kind](make_task(), storage=storage, name="run", callbacks=[following])
    assert following.replayed == [n < after for n in range(len(PHASES[kind]))]
    assert found.history_lines() == whole(kind).history_lines()
    assert found.tuning == whole(kind).tuning
    assert found.finalists(9) == whole(kind).finalists(9)
    assert counts(found) == counts(whole(kind))


@pytest.mark.parametrize(
    ("kind", "change", "difference"),
    [
        ("tune", {"iterations": 3}, "coefficients.iterations is 2 there and 3 here"),
        ("tune", {"population": 5}, "coefficients.population is 4 there and 5 here"),
        ("tune", {"which": "all"}, "coefficients.which is 'effective' there and 'all' here"),
        ("tune", {"expression": "x*log(y)"}, f"coefficients.expression is '{BAIKAL}' there and 'x*log(y)' here"),
        ("tune", {"repeats": 2}, "repeats is 1 there and 2 here"),
        ("tune", {"learning_rates": [0.1]}, "training.learning_rates is [0.1, 0.3] there and [0.1] here"),
        ("search", {"settings": ["coefficients.confirmations=5"]}, "coefficients.confirmations is 2 there and 5 here"),
        ("enumerate", {"max_depth": 1}, "enumeration.max_depth is 2 there and 1 here"),
        ("enumerate", {"repeats": 3}, "repeats is 2 there and 3 here"),
        ("enumerate", {"settings": ["enumeration.batch=32"]}, "enumeration.batch is 5 there and 32 here"),
    ],
)
def test_another_configuration_is_refused(
    make_task: MakeTask, storage: Path, kind: str, change: dict[str, Any], difference: str
) -> None:
    interrupted(kind, make_task(), storage, 1)
    with pytest.raises(ReplayError, match="study 'run' was recorded differently") as caught:
        STARTS[kind](make_task(), storage=storage, name="run", **change)
    assert difference in str(caught.value)
    assert recorded(storage) == 1


@pytest.mark.parametrize(
    ("start", "options", "message"),
    [
        (tune, {"expression": "x*x"}, r"x\*x has no coefficient to tune"),
        (tune, {"expression": "3", "which": "all"}, "3 has no coefficient to tune"),
        (tune, {"expression": "x*"}, "x"),
        (tune, {"which": "some"}, r"coefficients\.which"),
        (tune, {"iterations": 0}, r"coefficients\.iterations"),
        (tune, {"repeats": 0}, "repeats"),
        (tune, {"learning_rates": [0.1, -0.1]}, r"training\.learning_rates"),
        (enumerate_losses, {"max_depth": 3}, r"2\.67e\+09 expressions up to depth 3, and 2,000,000 is the most"),
        (enumerate_losses, {"max_depth": 0}, r"enumeration\.max_depth"),
        (enumerate_losses, {"repeats": 0}, "repeats"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    make_task: MakeTask, storage: Path, start: Start, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(GloError, match=message):
        start(make_task(), storage=storage, name="run", **options)
    assert Store(storage).studies() == []


def test_unknown_setting_of_a_phase(make_task: MakeTask, storage: Path) -> None:
    with pytest.raises(ConfigError, match=r"no option 'coefficients\.sigmma'; known here: .*sigma"):
        search_and_tune(make_task(), storage=storage, settings=["coefficients.sigmma=1"])


def test_runs_of_one_store_are_named_after_what_they_do(make_task: MakeTask, storage: Path) -> None:
    tiny = {"iterations": 1, "steps": 1, "storage": storage}
    found = [tune(make_task(), expression=expression, **tiny) for expression in ("baikal", BAIKAL, "x*y*7", "x*log(y)")]
    found.append(enumerate_few(make_task(), steps=1, max_depth=1, storage=storage))
    names = [discovery.name for discovery in found]
    assert names[0] == names[1] == "points-tune-baikal-0"
    assert names[3:] == ["points-tune-cross_entropy-0", "points-enumerate-0"]
    assert len(set(names)) == 4
    states = {state["name"]: state for state in study_states(Store(storage))}
    assert set(states) == set(names)
    assert [states[name]["planned"] for name in names[2:]] == [2, 2, None]


@pytest.mark.parametrize("kind", ["tune", "search"])
def test_tuning(whole: Whole, kind: str) -> None:
    """What is kept is the best of the three on fresh seeds, and the best sample is the best that was asked."""
    found = whole(kind)
    tuning = found.tuning
    assert tuning is not None
    (confirmed,) = [record.outcomes for record in found.history if record.phase is PhaseKind.CONFIRMATION]
    start, best, mean = tuning["confirmation"]
    assert [row["candidate"] for row in (start, best, mean)] == ["start", "best sample", "mean"]
    assert [row["expression"] for row in (start, best, mean)] == [outcome.expression for outcome in confirmed]
    assert [row["fitness"] for row in (start, best, mean)] == [outcome.fitness for outcome in confirmed]

    genetic = [outcome for r in found.history if r.phase is PhaseKind.GENETIC for outcome in r.outcomes]
    before = max((o.fitness for o in genetic), default=None)
    assert tuning["start"] == start["expression"]
    assert tuning["start"] in ([BAIKAL] if before is None else [o.expression for o in genetic if o.fitness == before])

    samples = [
        o for r in found.history if r.phase is PhaseKind.COEFFICIENTS for o in r.outcomes if o.status is Status.TRAINED
    ]
    assert best["expression"] == max(samples, key=lambda outcome: outcome.fitness).expression
    assert mean["expression"] not in (start["expression"], best["expression"])
    assert tuning["seeds"] == found.seeds == found.config.coefficients.confirmations

    top = max((start, best, mean), key=lambda row: row["fitness"])
    assert (found.expression, found.fitness) == (top["expression"], top["fitness"])
    assert {outcome.expression for outcome in found.finalists(99)} <= {outcome.expression for outcome in confirmed}
    assert found.summary()["tuning"] == tuning


@pytest.mark.parametrize("kind", ["tune", "search"])
def test_confirmation_is_the_mean_of_single_trainings(whole: Whole, make_task: MakeTask, kind: str) -> None:
    """With each seed at its best rate, by the plain trainer."""
    found = whole(kind)
    training = found.config.training.model_copy(update={"early_stop": 0.0})
    seeds = derive_seeds(0, "confirmation", found.config.coefficients.confirmations)
    means: list[float] = []
    for outcome in found.history[-1].outcomes:
        best = [_best_single(make_task(), outcome.expression, training, seed) for seed in seeds]
        means.append(sum(best) / len(best))
    assert [outcome.fitness for outcome in found.history[-1].outcomes] == pytest.approx(means, abs=ONE_FLIP / len(seeds))


def _best_single(task: Task, expression: str, training: TrainingConfig, seed: int) -> float:
    rates = training.learning_rates
    return max(train_single(task, Training(parse(expression), rate), training, seed).validation for rate in rates)


def test_repeats_are_averages_of_single_seeds(whole: Whole, make_task: MakeTask) -> None:
    found = whole("enumerate")
    seeds = [0, *derive_seeds(0, "repeat", 1)]
    expressions = [outcome.expression for outcome in found.enumerated]
    training = found.config.training.model_copy(update={"early_stop": 0.0})
    jobs = [Job(parse(expression), seed) for expression in expressions for seed in seeds]
    judged = evaluate(TrainingEvaluator(make_task(), training, InlineExecutor()), jobs)
    singles = [judged[start : start + 2] for start in range(0, len(judged), 2)]
    assert [o.fitness for o in found.enumerated] == pytest.approx(
        [(one.fitness + other.fitness) / 2 for one, other in singles], abs=ONE_FLIP / 2
    )
    for outcome, pair in zip(found.enumerated, singles, strict=True):
        assert outcome.learning_rate in {single.learning_rate for single in pair}
    # One seed alone says something else: the mean is one indeed.
    assert max(abs(o.fitness - pair[0].fitness) for o, pair in zip(found.enumerated, singles, strict=True)) > ONE_FLIP


def test_repeats_of_a_search_and_of_a_tuning(make_task: MakeTask, tmp_path: Path) -> None:
    """One seed gives whole sixtieths, the mean of two halves of them too."""
    for kind in ("tune", "search"):
        settings = ["repeats=2", "coefficients.iterations=1", "coefficients.population=4"]
        options: dict[str, Any] = {"repeats": 2, "population": 12} if kind == "tune" else {"settings": settings}
        found = STARTS[kind](make_task(), storage=tmp_path / f"{kind}.db", **options)
        first = found.history[0]
        halves = [outcome.fitness * 60 % 1 for outcome in first.outcomes if outcome.status is Status.TRAINED]
        assert any(half == pytest.approx(0.5, abs=1e-6) for half in halves)
        assert all(half == pytest.approx(0.5, abs=1e-6) or min(half, 1 - half) < 1e-6 for half in halves)


def test_search_that_trained_nothing_tunes_nothing(make_task: MakeTask, storage: Path) -> None:
    found = search_and_tune(make_task(), storage=storage, settings=["genetic.weights={x = 1.0, y = 1.0, '-' = 1.0}"])
    assert {record.phase for record in found.history} == {PhaseKind.GENETIC}
    assert found.tuning is None
    assert found.summary()["expression"] is None


def test_enumeration_of_few_operators(whole: Whole) -> None:
    found = whole("enumerate")
    ranked = found.enumerated
    asked = [outcome for record in found.history for outcome in record.outcomes]
    assert sorted(o.expression for o in ranked) == sorted(o.expression for o in asked)
    assert len({outcome.fingerprint for outcome in ranked}) == len(ranked)
    assert {BAIKAL, "x*log(y)"} <= {outcome.expression for outcome in ranked}
    keys = [(outcome.status is not Status.TRAINED, -outcome.fitness) for outcome in ranked]
    assert keys == sorted(keys)
    assert found.best.expression == ranked[0].expression
    assert found.tuning is None
    assert found.seeds == 2


def test_funnel_counts_what_an_enumeration_screened(make_task: MakeTask, storage: Path) -> None:
    """Most of the 25,844 trees fall at a cheap stage; what is left is trained, each loss once."""
    found = enumerate_losses(make_task(), repeats=1, steps=3, learning_rates=[1.0], storage=storage)
    funnel = found.funnel
    assert funnel[Stage.STRUCTURE].candidates > 24_000
    assert funnel[Stage.STRUCTURE].rejected > 10_000
    assert funnel[Stage.DERIVATIVE].rejected > 1_000
    assert funnel[Stage.DESCENT].rejected > 1_000
    judged = len(found.enumerated)
    assert 32 < judged < 500
    assert funnel[Stage.CACHE].candidates == funnel[Stage.EARLY_STOP].candidates == judged
    assert found.summary()["funnel"]["structure"]["candidates"] == funnel[Stage.STRUCTURE].candidates
