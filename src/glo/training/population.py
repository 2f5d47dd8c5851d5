"""Train many networks of one architecture in one program, each with its own loss and learning rate.

Weights are stacked along a first dimension P, and the model runs on all networks at once (`glo.training.stacked`), so that a
step of 80 small networks is a handful of batched matrix products.  All networks see the initial weights, batches and dropout
masks that `single` would give each of them with the same seed, and the results must agree with those of `single`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from glo.errors import ModelError
from glo.loss import PopulationLoss
from glo.records import Training, TrainingConfig, TrainingResult
from glo.tasks import Inputs, Split, Task, fresh_model, random_state_restored
from glo.tasks.inputs import rows
from glo.training.checkpoints import Checkpoint, Earlier, checkpoints
from glo.training.cuda_graph import CapturedStep
from glo.training.measurement import EVALUATION_BATCH, Measurement, final_result, fits_elsewhere, given_up, measure
from glo.training.memory import budget, chunk_size, chunk_sizes
from glo.training.model import agree, as_logits, seed_dropout, use_channels_last
from glo.training.optimizers import StackedOptimizer, updates_in_backward
from glo.training.parameters import SGDOptions
from glo.training.precision import matmul_precision
from glo.training.schedule import batches, progress_at, rate_factor
from glo.training.stacked import StackedModel, VmapModel, is_chain, stack
from glo.training.state import assigned_in_forward
from glo.training.traced import as_chain
from glo.training.weighting import rows_of, trained_losses

_stackable: WeakSet[Task] = WeakSet()  # the tasks whose models are known to be stackable
_no_chains: WeakSet[Task] = WeakSet()  # and those whose models are known to be no chain of layers
# For the check of stacking: by chance, two masks of dropout may be the same on few numbers, or hit units that are 0 anyway.
SAMPLES, SEEDS = 8, range(4)


@random_state_restored()
def train_population(
    task: Task,
    trainings: Sequence[Training],
    config: TrainingConfig,
    seed: int,
    device: torch.device | str = "cpu",
    test: bool = False,
    earlier: Earlier | None = None,
) -> list[TrainingResult]:
    """Train one network for each of `trainings`, in chunks that fit into memory and cache (`glo.training.memory`).

    Arguments and results, which are in the order of `trainings`, are those of `train_single`.

    Raises:
        ModelError: if the model cannot be stacked; the message names the module.
    """
    check_stackable(task)
    fitting = chunk_size(stacked_form(task, seed), task, config, budget(config, device))
    results: list[TrainingResult] = []
    for size in chunk_sizes(len(trainings), fitting, device):
        model = stacked_form(task, seed)  # the forward passes above and of another chunk may have changed a model's buffers
        chunk = trainings[len(results) : len(results) + size]
        results += _Population(task, model, chunk, config, seed, device).train(test, earlier)
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
        self.active = list(range(len(trainings)))  # positions of the networks that have not been stopped early
        rates = torch.tensor([training.learning_rate for training in trainings], device=device)
        decay = rates * config.weight_decay if config.weight_decay else None
        dtype = torch.bfloat16 if config.precision == "bfloat16" else None
        in_backward = updates_in_backward(config, device)
        options = SGDOptions(config.momentum, decay) if in_backward else SGDOptions(deferred=True)
        self.networks = stack(self.model, len(trainings), options, dtype)
        self.optimizer = None if in_backward else StackedOptimizer(config, self.networks.parameters, rates)
        self.curves: list[list[tuple[int, float]]] = [[] for _ in trainings]
        self.split, self.validation = (_resident(task, name).to(device) for name in ("train", "validation"))
        self.observed = _resident(task, config.curve_on).to(device) if config.curve_every else self.validation
        self.rows = rows_of(task, self.split, config)
        self.factor = rate_factor(config, 0)
        self._prepare()

    def _prepare(self) -> None:
        """Make the losses, the learning rates and the captured step of the active networks."""
        active = [self.trainings[position] for position in self.active]
        self.loss = PopulationLoss(
            trained_losses(self.task, [training.expression for training in active], self.config),
            self.task.link,
            self.config.class_reduction,
            self.config.eps,
            self.device,
            self.task.loss_options.get("weight"),
            self.task.prior,
        )
        rates = torch.tensor([training.learning_rate for training in active], device=self.device)
        self.rates = rates.reshape(-1, 1, 1)
        self.finite_losses = [True] * len(active)  # whether the loss of each network is finite in the last step
        self.captured_step = CapturedStep(self.device)

    def train(self, test: bool, earlier: Earlier | None = None) -> list[TrainingResult]:
        results: dict[int, TrainingResult] = {}
        checks = checkpoints(self.task, self.config, earlier)
        with matmul_precision(self.config):
            seed_dropout(self.seed)
            self.model.train()
            for step, batch in enumerate(batches(len(self.split), self.config, self.seed, self.device)):
                if (check := checks.get(step)) is not None:
                    results |= self._give_up(step, check)
                    if not self.active:
                        break
                self._step(step, batch)
                if self.config.curve_every and (step + 1) % self.config.curve_every == 0:
                    fitted = self._measure(self.validation) if fits_elsewhere(self.task, self.config) else None
                    for position, measurement in zip(self.active, self._measure(self.observed, fitted), strict=True):
                        self.curves[position].append((step + 1, measurement.score))
            on_validation = self._measure(self.validation, metrics=self.config.metrics)
            on_test: Sequence[Measurement | None] = [None] * len(on_validation)
            if test:
                on_test = self._measure(_resident(self.task, "test").to(self.device), on_validation)
        for row, position in enumerate(self.active):
            curve = tuple(self.curves[position])
            results[position] = final_result(on_validation[row], self.finite_losses[row], curve, on_test[row])
        return [results[position] for position in range(len(self.trainings))]

    def _step(self, step: int, batch: Tensor) -> None:
        """Take one step for every active network; a new rate factor needs a new capture, unless the optimizer has it."""
        if self.optimizer is not None:
            self.optimizer.begin_step(step)
        elif (factor := rate_factor(self.config, step)) != self.factor:
            self.factor, self.captured_step = factor, CapturedStep(self.device)
        self.loss.progress.fill_(progress_at(self.config, step))
        if step < self.config.steps - 1:
            self.captured_step(self._update, batch)
        else:
            self._update(batch, last=True)

    def _update(self, batch: Tensor, last: bool = False) -> None:
        """Update all parameters; the gradient of a loss does not need its value, so only the last step computes that."""
        targets, shares = self.rows.batch(batch)

        def output_gradient(outputs: Tensor) -> Tensor:
            labels = targets.to(outputs.dtype) if targets.is_floating_point() else targets
            if last:
                self.finite_losses = torch.isfinite(self.loss.value(outputs, labels, shares)).tolist()
            return self.loss.gradient(outputs, labels, self.rates if self.optimizer is None else 1.0, shares)

        self.networks.step(rows(self.split.inputs, batch), output_gradient, self.factor)
        if self.optimizer is not None:
            self.optimizer.step()

    def _measure(
        self, split: Split, validation: Sequence[Measurement] | None = None, metrics: Sequence[str] = ()
    ) -> list[Measurement]:
        """Measure each active network on a split; after `validation`, if that is given (`measure`)."""
        if not self.active:
            return []
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad():
            parts = [self.networks.outputs(part.inputs) for part in split.parts(EVALUATION_BATCH)]
        self.model.train(was_training)
        earlier = [None] * len(self.active) if validation is None else validation
        outputs = zip(torch.cat(parts, 1), earlier, strict=True)
        return [measure(self.task, split.targets, *each, metrics=metrics) for each in outputs]

    def _give_up(self, step: int, check: Checkpoint) -> dict[int, TrainingResult]:
        """Remove the networks that are behind at a checkpoint, and return their results by position."""
        results: dict[int, TrainingResult] = {}
        kept: list[int] = []
        for row, early in enumerate(self._measure(self.validation)):
            position = self.active[row]
            if check.recorded and not early.diverged:
                self.curves[position].append((step, early.score))
            if (reason := check.why_given_up(early)) is None:
                kept.append(row)
            else:
                results[position] = given_up(early, reason, tuple(self.curves[position]))
        if results:
            self.active = [self.active[row] for row in kept]
            places = torch.tensor(kept, dtype=torch.int64, device=self.device)
            self.networks.select(places)
            if self.optimizer is not None:
                self.optimizer.select(places)
            self._prepare()
        return results


def _resident(task: Task, name: str) -> Split:
    """A split that is in memory."""
    split = task.split(name)
    if not isinstance(split, Split):
        raise ModelError(f"task '{task.name}': {name} is read batch by batch, so its networks are trained one by one")
    return split


def _samples(task: Task) -> Inputs:
    """The inputs that tell whether a model can be stacked."""
    return task.train.first[:SAMPLES].inputs


def stacked_form(task: Task, seed: int) -> nn.Module:
    """The task's model as it is stacked: as a `Sequential`, if its forward pass is a chain of layers."""
    model = fresh_model(task, seed)
    if task in _no_chains:
        return model
    chain = as_chain(model, _samples(task))
    if not is_chain(chain):
        _no_chains.add(task)
    return chain


def check_stackable(task: Task) -> None:
    """Check with a few samples that stacked networks of the task's model do what the model does alone.

    Raises:
        ModelError: if `torch.func` cannot vectorise the model, if it would lose state that a forward pass assigns, or hooks
            of the backward pass, or if the outputs in training mode are not those of the model alone; the message names the
            module.
    """
    if task in _stackable:
        return
    model, inputs = fresh_model(task, seed=0), _samples(task)
    if (hooked := _with_backward_hook(model)) is not None:
        raise _not_stackable(task, model, hooked, "it has a hook of the backward pass, which stacked networks do not call")
    _try_step(task, stacked_form(task, seed=0), inputs)
    with random_state_restored():
        assigned = assigned_in_forward(fresh_model(task, seed=0), inputs)
    if assigned is not None:
        module, attribute = assigned
        raise _not_stackable(task, model, module, f"its forward pass assigns '{attribute}', which each network must own")
    if not all(_like_alone(task, seed, inputs) for seed in SEEDS):
        reason = "its outputs in training mode are not those of a network alone, perhaps by random numbers in another order"
        raise _not_stackable(task, model, "", reason)
    _stackable.add(task)


def _with_backward_hook(model: nn.Module) -> str | None:
    """The name of the first module with a hook of the backward pass, of itself or of a parameter."""
    for name, module in model.named_modules():
        hooks = [module._backward_hooks, module._backward_pre_hooks]
        for parameter in module.parameters(recurse=False):
            hooks += [parameter._backward_hooks, getattr(parameter, "_post_accumulate_grad_hooks", None)]
        if any(hooks):
            return name
    return None


@random_state_restored()
def _like_alone(task: Task, seed: int, inputs: Inputs) -> bool:
    """Whether the outputs of a stacked network in training mode are those of the network alone."""
    alone = use_channels_last(fresh_model(task, seed), inputs)
    seed_dropout(seed)
    expected = as_logits(alone.train()(inputs)).detach()
    seed_dropout(seed)
    found = _training_outputs(stack(stacked_form(task, seed).train(), 2), inputs)
    return agree(found, expected)


def _try_step(task: Task, model: nn.Module, inputs: Inputs) -> None:
    """Compute gradients: by `torch.func`, or for a chain, which does not need that, by autograd, which may refuse a model.

    Raises:
        ModelError: if the step is not possible; the message names the module in which it fails.
    """
    chain = is_chain(model)  # with the hooks below it is none
    running: list[str] = []  # names of the modules whose forward has started and not ended
    for name, module in model.named_modules():
        module.register_forward_pre_hook(_push(running, name))
        module.register_forward_hook(_pop(running))
    try:
        with random_state_restored():
            if chain:
                as_logits(model.train()(inputs)).sum().backward()
            else:
                _training_outputs(VmapModel(model.train(), 2, SGDOptions()), inputs)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise _not_stackable(task, model, running[-1] if running else "", reason) from error


def _training_outputs(networks: StackedModel, inputs: Inputs) -> Tensor:
    """Outputs of the first network in a step that changes no parameter."""
    found: list[Tensor] = []

    def output_gradient(outputs: Tensor) -> Tensor:
        found.append(outputs[0].clone())
        return torch.ones_like(outputs)

    networks.step(inputs, output_gradient, factor=0.0)
    return found[0].detach()


def _not_stackable(task: Task, model: nn.Module, name: str, reason: str) -> ModelError:
    where = f"module '{name}'" if name else "the model itself"
    return ModelError(
        f"task '{task.name}': {where} ({type(model.get_submodule(name)).__name__}) cannot be trained as part of a "
        f"population: {reason}; it can be trained one network at a time"
    )


def _push(running: list[str], name: str) -> Callable[..., None]:
    return lambda module, arguments: running.append(name)


def _pop(running: list[str]) -> Callable[..., None]:
    def pop(module: nn.Module, arguments: Any, output: Any) -> None:
        running.pop()

    return pop
