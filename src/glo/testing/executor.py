"""What every executor must do.  The task and the losses are real; trainings are short."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from glo.errors import TaskError
from glo.execution import Batch, Executor, in_order, train
from glo.expr import parse
from glo.records import Result, Training, TrainingConfig, TrainingResult
from glo.tasks import Task, load_task
from glo.training import train_networks

CONFIG = TrainingConfig(steps=40)
GOOD = ("x*log(y)", "log(y) - x/y", "-square(x - y)")
# NaN at every prediction; NaN at some; a gradient that overflows.
BAD = ("x*sqrt(-1 - y)", "x*sqrt(y - 0.5)", "x*exp(1e9*y)")


@functools.cache
def digits() -> Task:
    """The task of all these tests, loaded once."""
    return load_task("digits")


def batch(*texts: str, seed: int = 0, rates: Sequence[float] = (0.03, 0.3), test: bool = False) -> Batch:
    """Each loss at each learning rate, with one seed."""
    trainings = [Training(parse(text), rate) for text in texts for rate in rates]
    return Batch(digits(), CONFIG, trainings, [seed] * len(trainings), test)


@functools.cache
def expected(seed: int = 0) -> dict[Training, Result]:
    """The results of the good and the bad losses, trained in this process."""
    wanted = batch(*GOOD, *BAD, seed=seed)
    results = train_networks(digits(), wanted.trainings, wanted.config, seed)
    return dict(zip(wanted.trainings, results, strict=True))


def drain(executor: Executor, sizes: dict[str, int]) -> dict[str, dict[int, Result]]:
    """All results of the batches under way, by key and position."""
    found: dict[str, dict[int, Result]] = {key: {} for key in sizes}
    while any(len(found[key]) < size for key, size in sizes.items()):
        key, results = executor.next()
        assert isinstance(key, str)
        assert results, "next() returned no result"
        assert not found[key].keys() & results.keys(), "a position was returned twice"
        found[key] |= results
    return found


def check_close(results: Sequence[Result], trainings: Sequence[Training], seed: int = 0) -> None:
    """The results are those of training in this process."""
    for training, result in zip(trainings, results, strict=True):
        wanted = expected(seed)[training]
        assert isinstance(result, TrainingResult)
        assert isinstance(wanted, TrainingResult)
        assert result.diverged == wanted.diverged
        assert result.validation == pytest.approx(wanted.validation, abs=0.02)


class ExecutorContract:
    """Tests of an `Executor`; a subclass makes one."""

    def make(self) -> Executor:
        """A new executor with nothing under way."""
        raise NotImplementedError

    @contextmanager
    def made(self) -> Iterator[Executor]:
        """An executor that is closed at the end."""
        with closing(self.make()) as executor:
            yield executor

    def test_it_has_slots_and_a_kind_of_device(self) -> None:
        with self.made() as executor:
            assert executor.slots >= 1
            assert executor.device.partition(":")[0] in ("cpu", "cuda")

    def test_results_are_in_the_order_of_the_trainings(self) -> None:
        wanted = batch(*GOOD, *BAD)
        with self.made() as executor:
            check_close(train(executor, wanted), wanted.trainings)

    def test_the_same_batch_has_the_same_results(self) -> None:
        with self.made() as executor:
            first = train(executor, batch(*GOOD))
            assert train(executor, batch(*GOOD)) == first
        with self.made() as executor:
            assert train(executor, batch(*GOOD)) == first

    def test_the_order_of_the_trainings_does_not_matter(self) -> None:
        wanted = batch(*reversed((*GOOD, *BAD)))
        with self.made() as executor:
            check_close(train(executor, wanted), wanted.trainings)

    def test_a_network_alone_becomes_what_it_becomes_in_a_batch(self) -> None:
        """To the bit, at a rate at which a rounding error grows: so a part can be trained again one by one."""
        chaotic = [Training(parse("(x - 1)*y"), rate) for rate in (0.1, 10.0, 10.0)]
        together = Batch(digits(), CONFIG.model_copy(update={"steps": 60}), chaotic, [0] * 3)
        with self.made() as executor:
            results = train(executor, together)
            for training, result in zip(chaotic, results, strict=True):
                assert train(executor, replace(together, trainings=[training], seeds=[0])) == [result]

    def test_each_position_of_each_batch_is_returned_once(self) -> None:
        """Also when batches overlap and their seeds differ."""
        with self.made() as executor:
            for number, text in enumerate(GOOD):
                executor.submit(f"batch {number}", batch(text, seed=number))
            found = drain(executor, {f"batch {number}": 2 for number in range(len(GOOD))})
        for number, text in enumerate(GOOD):
            check_close(in_order(found[f"batch {number}"]), batch(text).trainings, number)

    def test_batches_may_be_submitted_whenever_others_have_ended(self) -> None:
        """As a steady-state search does."""
        ended: list[str] = []
        with self.made() as executor:
            submitted = 0
            missing: dict[str, int] = {}
            while len(ended) < 6:
                while submitted < 6 and len(missing) < executor.slots:
                    missing[f"{submitted}"] = 2
                    executor.submit(f"{submitted}", batch(GOOD[submitted % len(GOOD)]))
                    submitted += 1
                key, results = executor.next()
                assert isinstance(key, str)
                missing[key] -= len(results)
                if missing[key] == 0:
                    del missing[key]
                    ended.append(key)
        assert sorted(ended) == [f"{number}" for number in range(6)]

    def test_seeds_may_be_mixed_in_a_batch(self) -> None:
        alone = [batch(*GOOD, seed=seed) for seed in (1, 2)]
        pairs = list(zip(*(each.trainings for each in alone), strict=True))
        mixed = replace(alone[0], trainings=[training for pair in pairs for training in pair], seeds=[1, 2] * len(pairs))
        with self.made() as executor:
            results = train(executor, mixed)
            assert results[::2] == train(executor, alone[0])
            assert results[1::2] == train(executor, alone[1])
        assert results[::2] != results[1::2]

    def test_the_test_split_is_measured_if_asked_for(self) -> None:
        with self.made() as executor:
            (result,) = train(executor, batch(GOOD[0], rates=[0.3], test=True))
            (without,) = train(executor, batch(GOOD[0], rates=[0.3]))
        assert isinstance(result, TrainingResult)
        assert isinstance(without, TrainingResult)
        assert result.test is not None
        assert result.histogram is not None
        assert (without.test, without.validation) == (None, result.validation)

    def test_batches_may_differ_in_task_and_configuration(self) -> None:
        other = load_task("breast-cancer")
        longer = replace(batch(GOOD[0]), config=CONFIG.model_copy(update={"steps": 80}))
        cancer = replace(batch(GOOD[0]), task=other)
        with self.made() as executor:
            for key, wanted in {"digits": batch(GOOD[0]), "longer": longer, "cancer": cancer}.items():
                executor.submit(key, wanted)
            found = drain(executor, {"digits": 2, "longer": 2, "cancer": 2})
        check_close(in_order(found["digits"]), batch(GOOD[0]).trainings)
        assert found["longer"] != found["digits"]
        direct = train_networks(other, cancer.trainings, CONFIG, seed=0)
        for mine, theirs in zip(in_order(found["cancer"]), direct, strict=True):
            assert isinstance(mine, TrainingResult)
            assert isinstance(theirs, TrainingResult)
            assert mine.validation == pytest.approx(theirs.validation, abs=0.02)

    def test_global_random_state_does_not_matter_and_is_left_alone(self) -> None:
        with self.made() as executor:
            first = train(executor, batch(*GOOD))
            torch.manual_seed(99)
            np.random.seed(99)  # noqa: NPY002 - the global state is what this is about
            before = torch.get_rng_state(), str(np.random.get_state())  # noqa: NPY002
            assert train(executor, batch(*GOOD)) == first
            assert torch.equal(torch.get_rng_state(), before[0])
            assert str(np.random.get_state()) == before[1]  # noqa: NPY002

    def test_a_key_that_is_under_way_is_refused(self) -> None:
        with self.made() as executor:
            executor.submit("key", batch(GOOD[0]))
            with pytest.raises(ValueError, match="key"):
                executor.submit("key", batch(GOOD[0]))

    def test_waiting_for_nothing_is_an_error(self) -> None:
        with self.made() as executor, pytest.raises(RuntimeError, match="nothing is under way"):
            executor.next()

    def test_a_missing_test_split_is_refused_before_anything_is_trained(self) -> None:
        task = digits()
        without = Task("digits", task.model, task.split("train"), task.split("validation"))
        with pytest.raises(TaskError, match="no test split"):
            replace(batch(GOOD[0]), task=without, test=True)

    def test_closing_gives_up_what_is_under_way_and_it_can_be_used_again(self) -> None:
        with self.made() as executor:
            for number in range(4):
                executor.submit(number, batch(GOOD[0]))
            executor.close()
            with pytest.raises(RuntimeError, match="nothing is under way"):
                executor.next()
            check_close(train(executor, batch(GOOD[0])), batch(GOOD[0]).trainings)
