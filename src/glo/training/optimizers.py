"""Updates that need the whole gradient of a network: Adam, AdamW, RMSprop, Nesterov's momentum, and clipping.

They are written out for the parameters of P networks at once, each with its own learning rate, and agree with `torch.optim`
and `torch.nn.utils.clip_grad_norm_`, which `single` uses.  Plain SGD, with momentum or not, has a faster way: there a
gradient is added to its parameter by the product that computes it (`glo.training.parameters`).

What changes from step to step is in tensors, so that a captured CUDA graph reads it (docs/decisions/0020-optimizers.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from glo.errors import ModelError
from glo.records import TrainingConfig
from glo.training.parameters import StackedParameter
from glo.training.schedule import depends_on_length, rate_factor

EPSILON = 1e-8  # of Adam and RMSprop, as in PyTorch
CLIP_EPSILON = 1e-6  # of `clip_grad_norm_`
PART = 2**17  # numbers of a parameter that a CPU updates at once, so that intermediate results stay in its cache
State = Sequence[Tensor]  # of the shape of the parameter, and updated in place


def updates_in_backward(config: TrainingConfig, device: torch.device | str) -> bool:
    """Whether the backward pass itself can update the parameters: SGD that needs no more than a layer's own gradient.

    On a GPU, a learning rate that is another number in every step would need a new CUDA graph in every step.
    """
    sgd = config.optimizer == "sgd" and not config.nesterov and config.clip_norm is None
    return sgd and not (depends_on_length(config) and torch.device(device).type == "cuda")


@dataclass(frozen=True)
class Scalars:
    """The numbers that change from step to step, without dimension.

    Attributes:
        size: factor of the learning rates.
        decay: weight decay times the factor of the schedule; for AdamW.
        epsilon: what is added to the root of the averaged square.
    """

    size: Tensor
    decay: Tensor
    epsilon: Tensor

    def set(self, config: TrainingConfig, step: int) -> None:
        """Set them for a step; 0 is the first.

        Adam's two corrections of the bias are factors of the size and of epsilon, m and v being the averages:
        (m / c1) / (sqrt(v / c2) + epsilon) = sqrt(c2) / c1 * m / (sqrt(v) + sqrt(c2) * epsilon).
        """
        factor, root = rate_factor(config, step), 1.0
        size = factor
        if config.optimizer in ("adam", "adamw"):
            first, second = (1 - beta ** (step + 1) for beta in config.betas)
            root = second**0.5
            size *= root / first
        self.size.fill_(size)
        self.decay.fill_(factor * config.weight_decay)
        self.epsilon.fill_(root * EPSILON)


def _sgd(config: TrainingConfig, gradient: Tensor, state: State, scalars: Scalars) -> Tensor:
    return _with_momentum(config, gradient, state)


def _adam(config: TrainingConfig, gradient: Tensor, state: State, scalars: Scalars) -> Tensor:
    (average, square), (first, second) = state, config.betas
    average.lerp_(gradient, 1 - first)
    square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
    return average / square.sqrt().add_(scalars.epsilon)


def _rmsprop(config: TrainingConfig, gradient: Tensor, state: State, scalars: Scalars) -> Tensor:
    square, *velocity = state
    square.mul_(config.alpha).addcmul_(gradient, gradient, value=1 - config.alpha)
    return _with_momentum(config, gradient / square.sqrt().add_(scalars.epsilon), velocity)


def _with_momentum(config: TrainingConfig, direction: Tensor, state: State) -> Tensor:
    if not state:
        return direction
    (velocity,) = state
    velocity.mul_(config.momentum).add_(direction)
    return direction.add(velocity, alpha=config.momentum) if config.nesterov else velocity


# The direction of a step, from the gradient with the L2 penalty.
DIRECTIONS: dict[str, Callable[[TrainingConfig, Tensor, State, Scalars], Tensor]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adam,
    "rmsprop": _rmsprop,
}


def state_tensors(config: TrainingConfig) -> int:
    """How many numbers the optimizer keeps for each parameter."""
    averages = {"sgd": 0, "adam": 2, "adamw": 2, "rmsprop": 1}[config.optimizer]
    return averages + (config.momentum > 0)


class StackedOptimizer:
    """Updates the parameters of P networks from the gradients that a step has left in them.

    Args:
        config: the optimizer and its options.
        parameters: of the networks, which keep their gradients (`SGDOptions.deferred`).
        rates: the learning rate of each network, shape (P).
    """

    def __init__(self, config: TrainingConfig, parameters: Sequence[StackedParameter], rates: Tensor) -> None:
        self._config, self._parameters, self._rates = config, parameters, rates
        self._states = [[torch.zeros_like(p.value) for _ in range(state_tensors(config))] for p in parameters]
        self._scalars = Scalars(*(torch.zeros((), device=rates.device) for _ in range(3)))
        self._used: list[bool] | None = None  # whether each parameter has a gradient

    def begin_step(self, step: int) -> None:
        """Set what differs from the step before; not a part of a captured step."""
        self._scalars.set(self._config, step)

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters.

        Raises:
            ModelError: if a parameter has a gradient in some steps only: the step numbers of Adam would be its own.
        """
        used = [parameter.gradient is not None for parameter in self._parameters]
        if self._used not in (None, used):
            raise ModelError("the model uses a parameter in some steps only, so its networks cannot share an optimizer")
        self._used = used
        gradients = [p.gradient for p in self._parameters if p.gradient is not None]
        clip = None if self._config.clip_norm is None else clip_factors(gradients, self._config.clip_norm)
        sizes, shrink = self._rates * self._scalars.size, 1 - self._rates * self._scalars.decay
        for parameter, state in zip(self._parameters, self._states, strict=True):
            if parameter.gradient is None:
                continue
            for part in _parts(parameter.value):
                gradient = parameter.gradient[part]
                gradient = gradient if clip is None else gradient * _each(clip[part], gradient)
                self._update(parameter.value[part], gradient, [s[part] for s in state], sizes[part], shrink[part])
            parameter.gradient = None

    def select(self, rows: Tensor) -> None:
        """Keep only the networks at these indices; the parameters have been reduced to them already."""
        self._rates = self._rates[rows]
        self._states = [[tensor[rows] for tensor in state] for state in self._states]

    def _update(self, value: Tensor, gradient: Tensor, state: State, sizes: Tensor, shrink: Tensor) -> None:
        config = self._config
        if config.weight_decay and config.optimizer == "adamw":
            value.mul_(_each(shrink, value))
        elif config.weight_decay:
            gradient = gradient.add(value, alpha=config.weight_decay)
        direction = DIRECTIONS[config.optimizer](config, gradient, state, self._scalars)
        value.addcmul_(direction, _each(sizes, value), value=-1)


def clip_factors(gradients: Sequence[Tensor], largest: float) -> Tensor:
    """What each network's gradients are multiplied by, so that their total norm is at most `largest`: shape (P).

    Args:
        gradients: of all parameters, each of shape (P, ...).
        largest: the norm.
    """
    norms = [torch.linalg.vector_norm(gradient.reshape(len(gradient), -1), dim=1) for gradient in gradients]
    total = torch.linalg.vector_norm(torch.stack(norms), dim=0)
    return (largest / (total + CLIP_EPSILON)).clamp_(max=1.0)


def _parts(value: Tensor) -> list[slice]:
    """The networks of a parameter (P, ...) in parts that are updated one after the other; one part on a GPU."""
    networks = len(value)
    size = PART * networks // max(1, value.numel()) if value.device.type == "cpu" else networks
    return [slice(start, start + max(1, size)) for start in range(0, networks, max(1, size))]


def _each(numbers: Tensor, value: Tensor) -> Tensor:
    """A number for each network, in a shape that multiplies a parameter of shape (P, ...)."""
    return numbers.reshape(-1, *[1] * (value.dim() - 1))
