"""The cache of a funnel: a loss is trained once, however it is written, for the same data, training, device and versions."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from candidates import SHORT, digits, jobs
from fakes import RESULTS, FakeExecutor, RecordingCache
from glo.evaluation import Cache, Funnel, MemoryCache, evaluate
from glo.execution import InlineExecutor, Key
from glo.records import FunnelConfig, Outcome, Result, Stage, Status, TrainingConfig
from glo.tasks import load_task

CHECKED = FunnelConfig(derivative=True, descent=True)
REJECTS = {Stage.DERIVATIVE: "x*sqrt(-1 - y)", Stage.DESCENT: "x - x*log(y)"}


def funnel(
    executor: FakeExecutor, cache: Cache | None = None, training: TrainingConfig = SHORT, config: FunnelConfig | None = None
) -> Funnel:
    return Funnel(digits(), training, config or FunnelConfig(), executor, cache)


def trained(executor: FakeExecutor, cache: Cache, *texts: str, seed: int = 0, **options: Any) -> list[str]:
    """The losses that a new funnel with this cache trains."""
    evaluate(funnel(executor, cache, **options), jobs(*texts, seed=seed))
    return executor.texts


def test_equal_fingerprints_are_trained_once_in_one_batch() -> None:
    executor = FakeExecutor()
    outcomes = evaluate(funnel(executor), jobs("x*log(y)", "y*x", "log(y)*x", "x*log(y) + 3"))
    assert executor.texts == ["x*log(y)", "y*x"]
    assert [outcome.expression for outcome in outcomes] == ["x*log(y)", "y*x", "log(y)*x", "x*log(y) + 3"]
    assert outcomes[0].fingerprint == outcomes[2].fingerprint == outcomes[3].fingerprint != outcomes[1].fingerprint


def test_equal_fingerprints_are_trained_once_in_several_batches() -> None:
    executor = FakeExecutor()
    evaluator = funnel(executor)
    for text in ("x*log(y)", "log(y)*x", "y*x", "x*log(y)", "x*y"):
        (outcome,) = evaluate(evaluator, jobs(text))
        assert (outcome.expression, outcome.fitness) == (text, 0.5)
    assert executor.texts == ["x*log(y)", "y*x"]
    assert len(executor.submitted) == 2 * len(SHORT.learning_rates)


def test_another_seed_is_another_training() -> None:
    executor = FakeExecutor()
    evaluator = funnel(executor)
    evaluate(evaluator, jobs("x*log(y)", seed=1) + jobs("x*log(y)", seed=2))
    evaluate(evaluator, jobs("x*log(y)", seed=1) + jobs("x*log(y)", seed=3))
    assert [seed for _, seed in executor.submitted[:: len(SHORT.learning_rates)]] == [1, 2, 3]


@pytest.mark.parametrize("status", [Status.TRAINED, Status.STOPPED, Status.DIVERGED])
def test_an_outcome_that_depends_on_the_loss_alone_is_remembered(status: Status) -> None:
    executor, cache = FakeExecutor(lambda training, seed: RESULTS[status]), RecordingCache()
    evaluator = funnel(executor, cache)
    first, second = evaluate(evaluator, jobs("x*y")), evaluate(evaluator, jobs("x*y"))
    assert first == second
    assert second[0].status is status
    assert len(executor.submitted) == len(SHORT.learning_rates)
    assert cache.remembered == {"x*y": first[0]}


@pytest.mark.parametrize("status", [Status.CRASHED, Status.TIMED_OUT])
def test_an_outcome_that_depends_on_circumstances_is_not_remembered(status: Status) -> None:
    executor, cache = FakeExecutor(lambda training, seed: RESULTS[status]), RecordingCache()
    evaluator = funnel(executor, cache)
    assert [evaluate(evaluator, jobs("x*y"))[0].status for _ in range(2)] == [status, status]
    assert len(executor.submitted) == 2 * len(SHORT.learning_rates)
    assert cache.remembered == {}


def test_outcomes_of_another_study_are_not_trained() -> None:
    cache = MemoryCache()
    first = evaluate(funnel(FakeExecutor(), cache), jobs("x*log(y)", "x*y", seed=4))
    executor = FakeExecutor()
    second = funnel(executor, cache)
    assert evaluate(second, jobs("x*log(y)", "x*y", seed=4)) == first
    assert executor.texts == []
    evaluate(second, jobs("x*y", seed=5))
    assert executor.texts == ["x*y"]


def test_an_outcome_is_given_to_the_cache_once() -> None:
    """`RecordingCache` raises an error for the second time."""
    cache = RecordingCache()
    evaluator = funnel(FakeExecutor(), cache)
    for _ in range(2):
        evaluate(evaluator, jobs("x*log(y)", "x*y", "y*x"))
    assert list(cache.remembered) == ["x*log(y)", "x*y"]


def test_what_the_cache_knows_already_stays() -> None:
    first, second = (Outcome("x*y", "mark", Status.TRAINED, Stage.TRAINING, "", fitness) for fitness in (0.5, 0.6))
    cache = MemoryCache()
    cache.remember({"context": {"mark": first}})
    cache.remember({"context": {"mark": second, "another": second}, "another": {"mark": second}})
    assert cache.lookup("context", ["mark", "another", "unknown"]) == {"mark": first, "another": second}
    assert cache.lookup("another", ["mark", "another"]) == {"mark": second}
    assert cache.lookup("unknown", ["mark"]) == {}


def test_hits_are_counted() -> None:
    evaluator = funnel(FakeExecutor())
    evaluate(evaluator, jobs("x*log(y)", "x*y", "y*x"))
    evaluate(evaluator, jobs("x*y"))
    count = evaluator.counts[Stage.CACHE]
    assert (count.candidates, count.rejected) == (4, 2)


def test_a_loss_without_a_variable_does_not_share_the_outcome_of_one_with_both() -> None:
    """log(y) + x - x has the derivative of log(y); the paper gives 0 to the one and trains the other, in either order."""
    for first, second in (("log(y)", "log(y) + x - x"), ("log(y) + x - x", "log(y)")):
        executor, cache = FakeExecutor(), RecordingCache()
        evaluator = funnel(executor, cache)
        outcomes = {text: evaluate(evaluator, jobs(text))[0] for text in (first, second)}
        assert outcomes["log(y)"].fingerprint == outcomes["log(y) + x - x"].fingerprint
        assert outcomes["log(y)"].status is Status.REJECTED
        assert outcomes["log(y) + x - x"].status is Status.TRAINED
        assert executor.texts == ["log(y) + x - x"]
        assert [outcome.status for outcome in cache.remembered.values()] == [Status.TRAINED]


def test_rejects_of_the_checks_after_the_cache_are_remembered() -> None:
    """The second evaluation makes neither check."""
    evaluator = funnel(FakeExecutor(), config=CHECKED)
    first = evaluate(evaluator, jobs(*REJECTS.values()))
    assert [outcome.stage for outcome in first] == list(REJECTS)
    evaluator.take_counts()
    assert evaluate(evaluator, jobs(*REJECTS.values())) == first
    counts = evaluator.take_counts()
    assert (counts[Stage.CACHE].candidates, counts[Stage.CACHE].rejected) == (2, 2)
    assert counts[Stage.DERIVATIVE].candidates == counts[Stage.DESCENT].candidates == 0


@pytest.mark.parametrize(
    "changed",
    [{"steps": 31}, {"learning_rates": (0.3,)}, {"momentum": 0.9}, {"class_reduction": "mean"}, {"eps": 1e-6}],
    ids=str,
)
def test_another_training_does_not_share_outcomes(changed: dict[str, Any]) -> None:
    cache = MemoryCache()
    evaluate(funnel(FakeExecutor(), cache), jobs("x*log(y)"))
    assert trained(FakeExecutor(), cache, "x*log(y)") == []
    other = TrainingConfig.model_validate(SHORT.model_dump() | changed)
    assert trained(FakeExecutor(), cache, "x*log(y)", training=other) == ["x*log(y)"]


def test_another_limit_of_memory_shares_outcomes() -> None:
    cache = MemoryCache()
    evaluate(funnel(FakeExecutor(), cache), jobs("x*log(y)"))
    limited = SHORT.model_copy(update={"memory_mb": 100})
    assert trained(FakeExecutor(), cache, "x*log(y)", training=limited) == []


def test_other_data_or_other_checks_do_not_share_outcomes() -> None:
    cache, executor = MemoryCache(), FakeExecutor()
    evaluate(funnel(FakeExecutor(), cache), jobs("x - x*log(y)"))
    shuffled = load_task("digits", {"split_seed": 1})
    evaluate(Funnel(shuffled, SHORT, FunnelConfig(), executor, cache), jobs("x - x*log(y)"))
    assert executor.texts == ["x - x*log(y)"]
    (strict,) = evaluate(funnel(FakeExecutor(), cache, config=FunnelConfig(descent=True)), jobs("x - x*log(y)"))
    assert strict.status is Status.REJECTED


def test_another_kind_of_device_does_not_share_outcomes() -> None:
    cache = MemoryCache()
    evaluate(funnel(FakeExecutor(device="cuda:0"), cache), jobs("x*log(y)"))
    assert trained(FakeExecutor(device="cuda:1"), cache, "x*log(y)") == []
    assert trained(FakeExecutor(device="cpu"), cache, "x*log(y)") == ["x*log(y)"]


def test_another_version_does_not_share_outcomes(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = MemoryCache()
    evaluate(funnel(FakeExecutor(), cache), jobs("x*log(y)"))
    monkeypatch.setattr("glo.provenance.__version__", "0.0.0")
    assert trained(FakeExecutor(), cache, "x*log(y)") == ["x*log(y)"]
    assert trained(FakeExecutor(), cache, "x*log(y)") == []


def test_a_remembered_outcome_is_that_of_the_training_itself() -> None:
    """With real trainings: an outcome from the cache equals that of another training."""

    def real(cache: Cache) -> Funnel:
        return Funnel(digits(), SHORT, FunnelConfig(), InlineExecutor(), cache)

    texts, cache = ("x*log(y)", "x*y", "x*sqrt(-1 - y)"), MemoryCache()
    first = evaluate(real(cache), jobs(*texts))
    second = real(cache)
    assert evaluate(second, jobs(*texts)) == first == evaluate(real(MemoryCache()), jobs(*texts))
    assert second.take_counts()[Stage.TRAINING].candidates == 0


def test_an_outcome_is_in_the_cache_as_soon_as_it_is_returned() -> None:
    """Results come one by one, the last first; candidates of one batch and of several."""
    cache = RecordingCache()
    evaluator = funnel(FakeExecutor(one_by_one=True), cache)
    evaluator.submit(dict(enumerate(jobs("x*log(y)", "x*y"))))
    evaluator.submit({2: jobs("x*sqrt(y)")[0]})
    for order in itertools.accumulate([["x*y"], ["x*log(y)"], ["x*sqrt(y)"]]):
        (outcome,) = evaluator.next().values()
        assert outcome.expression == order[-1]
        assert list(cache.remembered) == order


def test_a_reject_is_in_the_cache_as_soon_as_it_is_submitted() -> None:
    cache = RecordingCache()
    evaluator = funnel(FakeExecutor(), cache, config=CHECKED)
    evaluator.submit(dict(enumerate(jobs("x*log(y)", *REJECTS.values()))))
    assert list(cache.remembered) == list(REJECTS.values())


def test_the_outcomes_known_before_an_interrupt_are_remembered() -> None:
    class Interrupted(FakeExecutor):
        """Is interrupted when the ladder of one loss is trained."""

        calls = 0

        def next(self) -> tuple[Key, dict[int, Result]]:
            self.calls += 1
            if self.calls > len(SHORT.learning_rates):
                raise KeyboardInterrupt
            return super().next()

    cache = MemoryCache()
    with pytest.raises(KeyboardInterrupt):
        evaluate(funnel(Interrupted(one_by_one=True), cache), jobs("x*log(y)", "x*y"))
    assert trained(FakeExecutor(), cache, "x*log(y)", "x*y") == ["x*log(y)"]
