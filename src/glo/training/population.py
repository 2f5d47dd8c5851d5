"""Many networks of one architecture in one program, each with its own loss and learning rate.

Weights are stacked along a first dimension P and the model runs on all at once (`glo.training.stacked`), so that a step of
80 small networks is a handful of batched matrix products.  All networks see the same initial weights, batches and dropout
masks, as `single` would give each of them with the same seed; `single` is what this must agree with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from glo.errors import ModelError
from glo.loss import PopulationLoss
from glo.records import TrainingConfig
from glo.tasks import Split, Task
from glo.training.cuda_graph import Replayed
from glo.training.memory import budget, chunk_size
from glo.training.stacked import Descent, Vectorised, stack
from glo.training.steps import (
    EVALUATION_BATCH,
    Measured,
    Training,
    TrainingResult,
    batches,
    early_stop_step,
    finished,
    fresh_model,
    measure,
    products,
    rate_factor,
    seed_dropout,
)


def train_population(
    task: Task,
    trainings: Sequence[Training],
    config: TrainingConfig,
    seed: int,
    device: torch.device | str = "cpu",
    test: bool = False,
) -> list[TrainingResult]:
    """Train one network for each of `trainings`; arguments and results as for `train_single`, in order.

    They are trained in chunks that fit into memory (`glo.training.memory`).

    Raises:
        ModelError: if the model cannot be stacked; the message names the module.
    """
    model = fresh_model(task, seed)
    check_stackable(task, model)
    size = chunk_size(model, task, config, budget(config, device))
    results: list[TrainingResult] = []
    for start in range(0, len(trainings), size):
        results += _Population(task, model, trainings[start : start + size], config, seed, device).train(test)
    return results


class _Population:
    """The stacked networks of one chunk, and their training loop."""

    def __init__(
        self,
        task: Task,
        model: nn.Module,
        trainings: Sequence[Training],
        config: TrainingConfig,
        seed: int,
        device: torch.device | str,
    ) -> None:
        self.task, self.config, self.seed, self.device = task, config, seed, device
        self.model = model.to(device)
        self.trainings = list(trainings)
        self.alive = list(range(len(trainings)))  # positions of the networks that are still trained
        rates = torch.tensor([training.learning_rate for training in trainings], device=device)
        decay = rates * config.weight_decay if config.weight_decay else None
        dtype = torch.bfloat16 if config.precision == "bfloat16" else None
        self.networks = stack(self.model, len(trainings), Descent(config.momentum, decay), dtype)
        self.curves: list[list[tuple[int, float]]] = [[] for _ in trainings]
        self.split, self.validation = task.split("train").to(device), task.split("validation").to(device)
        self.observed = task.split(config.curve_on).to(device) if config.curve_every else self.validation
        self.factor = rate_factor(config, 0)
        self._prepare()

    def _prepare(self) -> None:
        """What depends on which networks are alive: their losses and rates."""
        members = [self.trainings[position] for position in self.alive]
        self.loss = PopulationLoss(
            [member.expression for member in members],
            self.task.link,  # pyright: ignore[reportArgumentType]
            self.config.class_reduction,
            self.config.eps,
            self.device,
        )
        rates = torch.tensor([member.learning_rate for member in members], device=self.device)
        self.rates = rates.reshape(-1, 1, 1)
        self.sound = [True] * len(members)  # whether the losses are numbers in the last step
        self.replayed = Replayed(self.device)

    def train(self, test: bool) -> list[TrainingResult]:
        results: dict[int, TrainingResult] = {}
        check_at = early_stop_step(self.config)
        with torch.random.fork_rng(), products(self.config):
            seed_dropout(self.seed)
            self.model.train()
            for step, batch in enumerate(batches(len(self.split), self.config, self.seed, self.device)):
                if step == check_at:
                    results |= self._give_up_at_chance()
                    if not self.alive:
                        break
                self._step(step, batch)
                if self.config.curve_every and (step + 1) % self.config.curve_every == 0:
                    for position, now in zip(self.alive, self._measured(self.observed), strict=True):
                        self.curves[position].append((step + 1, now.score))
            on_validation = self._measured(self.validation)
            on_test = self._measured(self.task.split("test").to(self.device)) if test else [None] * len(on_validation)
        for position, validated, tested, sound in zip(self.alive, on_validation, on_test, self.sound, strict=True):
            results[position] = finished(validated, sound, tuple(self.curves[position]), tested)
        return [results[position] for position in range(len(self.trainings))]

    def _step(self, step: int, batch: Tensor) -> None:
        """One step of SGD for every network; in the last one, whether their losses are numbers."""
        if (factor := rate_factor(self.config, step)) != self.factor:
            self.factor, self.replayed = factor, Replayed(self.device)
        if step < self.config.steps - 1:
            self.replayed(self._descend, batch)
        else:
            self._descend(batch, last=True)

    def _descend(self, batch: Tensor, last: bool = False) -> None:
        """The derivative of the losses is explicit; their values are not needed before the end."""
        targets = self.split.targets[batch]

        def upstream(outputs: Tensor) -> Tensor:
            if last:
                self.sound = torch.isfinite(self.loss.value(outputs, targets)).tolist()
            return self.loss.gradient(outputs, targets, self.rates)

        self.networks.step(self.split.inputs[batch], upstream, self.factor)

    def _measured(self, split: Split) -> list[Measured]:
        """What each living network does on a split."""
        if not self.alive:
            return []
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            parts = [self.networks.outputs(part) for part in split.inputs.split(EVALUATION_BATCH)]
        self.model.train(was_training)
        return [measure(self.task, split, outputs) for outputs in torch.cat(parts, 1)]

    def _give_up_at_chance(self) -> dict[int, TrainingResult]:
        """Take the networks that are still at chance out of the population."""
        chance = self.task.chance()
        results: dict[int, TrainingResult] = {}
        kept: list[int] = []
        for row, now in enumerate(self._measured(self.validation)):
            position = self.alive[row]
            if now.score > chance:
                kept.append(row)
            else:
                curve = tuple(self.curves[position])
                results[position] = TrainingResult(now.score, now.diverged, stopped=not now.diverged, curve=curve)
        if results:
            self.alive = [self.alive[row] for row in kept]
            self.networks.keep(torch.tensor(kept, dtype=torch.int64, device=self.device))
            self._prepare()
        return results


def check_stackable(task: Task, model: nn.Module) -> None:
    """Try one tiny training step of two stacked copies.

    Raises:
        ModelError: naming the module that `torch.func` cannot vectorise.
    """
    running: list[str] = []  # the modules whose forward has begun and not ended
    hooks = [
        hook
        for name, module in model.named_modules()
        for hook in (
            module.register_forward_pre_hook(_entering(running, name)),
            module.register_forward_hook(_leaving(running)),
        )
    ]
    was_training = model.training
    try:
        with torch.random.fork_rng():
            pair = Vectorised(model.train(), 2, Descent())
            pair.step(task.split("train").inputs[:2], torch.ones_like, factor=0.0)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        name = running[-1] if running else ""
        where = f"module '{name}'" if name else "'the model itself'"
        raise ModelError(
            f"task '{task.name}': {where} ({type(model.get_submodule(name)).__name__}) cannot be trained as part of a "
            f"population: {(str(error) or type(error).__name__).splitlines()[0]}; it can be trained one network at a time"
        ) from error
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()


def _entering(running: list[str], name: str) -> Callable[..., None]:
    return lambda module, arguments: running.append(name)


def _leaving(running: list[str]) -> Callable[..., None]:
    def leave(module: nn.Module, arguments: Any, output: Any) -> None:
        running.pop()

    return leave
