"""Random modules of many kinds.  A kind draws its sizes once and returns a factory, as a user would write one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

Factory = Callable[[], nn.Module]
Shape = tuple[int, ...]

CHAIN_ACTIVATIONS: tuple[Factory, ...] = (
    nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.GELU, nn.ELU, nn.Softplus, lambda: nn.ReLU(inplace=True),
    lambda: nn.LeakyReLU(0.2), lambda: nn.GELU(approximate="tanh"), lambda: nn.Dropout(0.3),
)  # fmt: skip
ACTIVATIONS: tuple[Factory, ...] = (
    *CHAIN_ACTIVATIONS, nn.PReLU, nn.Hardtanh, nn.Mish, nn.Softsign, nn.Identity, nn.LogSigmoid, nn.ReLU6,
    lambda: nn.AlphaDropout(0.2), lambda: nn.Dropout(1.0), lambda: nn.Softmax(1), lambda: nn.CELU(0.5),
)  # fmt: skip


def pick(rng: Generator, choices: Sequence[Any]) -> Any:
    """One of the choices, which stay what they are (numpy would make them arrays)."""
    return choices[int(rng.integers(len(choices)))]


def sequential(*parts: Factory) -> Factory:
    return lambda: nn.Sequential(*(part() for part in parts))


def linear(inputs: int, outputs: int, bias: bool = True) -> Factory:
    return lambda: nn.Linear(inputs, outputs, bias)


def _head(rng: Generator, inputs: int, outputs: int, activations: Sequence[Factory]) -> list[Factory]:
    """Linear layers with activations between them."""
    parts: list[Factory] = []
    for _ in range(rng.integers(0, 3)):
        width = int(rng.integers(1, 9))
        parts += [linear(inputs, width, rng.random() < 0.8), *(pick(rng, activations) for _ in range(rng.integers(0, 3)))]
        inputs = width
    return [*parts, linear(inputs, outputs, rng.random() < 0.8)]


def mlp_chain(rng: Generator, shape: Shape, outputs: int) -> Factory:
    flat = [nn.Flatten] if len(shape) > 1 or rng.random() < 0.2 else []
    return sequential(*flat, *_head(rng, math.prod(shape), outputs, CHAIN_ACTIVATIONS))


def mlp(rng: Generator, shape: Shape, outputs: int) -> Factory:
    return sequential(nn.Flatten, *_head(rng, math.prod(shape), outputs, ACTIVATIONS), nn.Identity)


def zero_head(rng: Generator, shape: Shape, outputs: int) -> Factory:
    """The last layer begins at zero, so that all first predictions are equal and comparisons in a loss are ties."""
    body = mlp_chain(rng, shape, outputs)

    def make() -> nn.Module:
        model = body()
        for parameter in list(model.modules())[-1].parameters():
            nn.init.zeros_(parameter)
        return model

    return make


def cnn_chain(rng: Generator, shape: Shape, outputs: int) -> Factory:
    channels, width = int(rng.integers(1, 4)), int(rng.integers(1, 5))
    kernel, padding, bias = int(rng.integers(1, 4)), int(rng.integers(0, 2)), rng.random() < 0.7
    pooling = pick(rng, [[], [lambda: nn.MaxPool2d(2)], [lambda: nn.MaxPool2d(3, 1, padding=1)]])
    middle = [pick(rng, CHAIN_ACTIVATIONS) for _ in range(rng.integers(0, 3))]
    body: list[Factory] = [lambda: nn.Conv2d(shape[0], channels, kernel, padding=padding, bias=bias), *middle, *pooling]
    if rng.random() < 0.4:
        body += [lambda: nn.Conv2d(channels, width, 1), pick(rng, CHAIN_ACTIVATIONS)]
    return _with_head(rng, [*body, nn.Flatten], shape, outputs, CHAIN_ACTIVATIONS)


def cnn(rng: Generator, shape: Shape, outputs: int) -> Factory:
    """Convolutions, norms and pooling that only vmap takes."""
    channels = 2 * int(rng.integers(1, 3))
    convolution = pick(
        rng,
        [
            lambda: nn.Conv2d(shape[0], channels, 3, padding="same"),
            lambda: nn.Conv2d(shape[0], channels, 3, padding=1, padding_mode=pick_mode),
            lambda: nn.Conv2d(shape[0], shape[0] * channels, 2, groups=shape[0]),
            lambda: nn.Conv2d(shape[0], channels, 2, stride=2),
        ],
    )
    pick_mode = pick(rng, ["reflect", "replicate", "circular"])
    with torch.no_grad():
        width = convolution()(torch.zeros(1, *shape)).shape[1]
    norm = pick(
        rng,
        [
            lambda: nn.BatchNorm2d(width), lambda: nn.BatchNorm2d(width, track_running_stats=False), nn.Identity,
            lambda: nn.GroupNorm(1, width), lambda: nn.InstanceNorm2d(width), lambda: nn.Dropout2d(0.3),
        ],
    )  # fmt: skip
    pool = pick(rng, [lambda: nn.AvgPool2d(2), lambda: nn.AdaptiveAvgPool2d(1), nn.Identity, lambda: nn.MaxPool2d(2)])
    return _with_head(rng, [convolution, norm, pick(rng, ACTIVATIONS[:-2]), pool, nn.Flatten], shape, outputs, ACTIVATIONS)


def _with_head(rng: Generator, body: list[Factory], shape: Shape, outputs: int, activations: Sequence[Factory]) -> Factory:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        features = sequential(*body)().eval()(torch.zeros(2, *shape)).shape[1]
    return sequential(*body, *_head(rng, features, outputs, activations))


def normalised(rng: Generator, shape: Shape, outputs: int) -> Factory:
    width = 2 * int(rng.integers(1, 5))
    groups = 2 if width > 2 else 1  # of one value, nothing but the rounding of its mean would be left
    momentum, affine, tracked = pick(rng, [0.1, 0.5, 0.9]), bool(rng.random() < 0.7), bool(rng.random() < 0.6)
    norm = pick(
        rng,
        [
            lambda: nn.LayerNorm(width), lambda: nn.GroupNorm(groups, width), lambda: nn.RMSNorm(width),
            *[lambda: nn.BatchNorm1d(width, momentum=momentum, affine=affine, track_running_stats=tracked)] * 4,
        ],
    )  # fmt: skip
    tail = _head(rng, width, outputs, ACTIVATIONS)
    return sequential(nn.Flatten, linear(math.prod(shape), width), norm, pick(rng, ACTIVATIONS), *tail)


def frozen(rng: Generator, shape: Shape, outputs: int) -> Factory:
    body, share = normalised(rng, shape, outputs), 0.5
    mask = [rng.random() < share for _ in range(30)]

    def make() -> nn.Module:
        model = body()
        for parameter, fixed in zip(model.parameters(), [False, *mask], strict=False):
            parameter.requires_grad_(not fixed)
        return model

    return make


@dataclass(frozen=True)
class Options:
    """What an `Own` module does, drawn once."""

    features: int
    width: int
    outputs: int
    what: str
    number: float


class Own(nn.Module):
    """A module as a user writes one; `options.what` says what is special about it."""

    scale: Tensor
    average: Tensor

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.first = nn.Linear(options.features, options.width)
        self.middle = nn.Linear(options.width, options.width)
        self.last = nn.Linear(options.width, options.outputs)
        self.gain = nn.Parameter(torch.tensor(options.number))
        self.unused = nn.Parameter(torch.ones(2)) if options.what == "unused parameter" else None
        self.register_buffer("scale", torch.linspace(0.5, 1.5, options.width), persistent=options.number > 1)
        self.register_buffer("average", torch.zeros(options.width))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.calls, self.plain, self.modes = 0, torch.zeros(()), [nn.ReLU(), nn.Tanh()]
        if options.what == "tied":
            self.middle.weight = nn.Parameter(self.middle.weight.T.clone())
            self.last = nn.Linear(options.width, options.width)
            self.last.weight = self.middle.weight
            self.head = nn.Linear(options.width, options.outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(inputs.flatten(1))) * self.scale
        return getattr(self, "_" + self.options.what.replace(" ", "_"))(hidden)

    def _constant_buffers(self, hidden: Tensor) -> Tensor:
        return self.last(self.middle(hidden)) * self.gain

    def _residual(self, hidden: Tensor) -> Tensor:
        return self.last(hidden + torch.relu(self.middle(hidden)) * self.gain)

    def _used_twice(self, hidden: Tensor) -> Tensor:
        return self.last(torch.tanh(self.middle(torch.tanh(self.middle(hidden)))) * self.gain)

    def _tied(self, hidden: Tensor) -> Tensor:
        return self.head(functional.linear(self.last(self.middle(hidden)), self.middle.weight.T)) * self.gain

    def _buffer_in_place(self, hidden: Tensor) -> Tensor:
        if self.training:
            self.average.mul_(0.7).add_(0.3 * hidden.detach().mean(0))
            self.steps += 1
        return self.last(hidden - self.average) * self.gain / (1 + self.steps)

    def _buffer_in_place_always(self, hidden: Tensor) -> Tensor:
        self.steps += 1
        return self.last(hidden) * self.gain / (1 + self.steps)

    def _buffer_assigned(self, hidden: Tensor) -> Tensor:
        self.steps = self.steps + 1
        return self.last(hidden) * self.gain / (1 + self.steps)

    def _average_assigned(self, hidden: Tensor) -> Tensor:
        if self.training:
            self.average = 0.7 * self.average + 0.3 * hidden.detach().mean(0)
        return self.last(hidden - self.average) * self.gain

    def _assigned_in_evaluation(self, hidden: Tensor) -> Tensor:
        if not self.training:
            self.steps = self.steps + 1
        return self.last(hidden) * self.gain / (1 + self.steps)

    def _counter(self, hidden: Tensor) -> Tensor:
        self.calls += 1
        return self.last(self.modes[self.calls % 2](self.middle(hidden))) * self.gain

    def _plain_tensor(self, hidden: Tensor) -> Tensor:
        self.plain = 0.5 * self.plain + hidden.detach().mean()
        return self.last(hidden + self.plain) * self.gain

    def _unused_parameter(self, hidden: Tensor) -> Tensor:
        return self.last(hidden) * self.gain

    def _noise(self, hidden: Tensor) -> Tensor:
        noise = torch.randn_like(hidden) if self.training else torch.zeros_like(hidden)
        return self.last(self.middle(hidden + 0.1 * noise)) * self.gain

    def _functional_dropout(self, hidden: Tensor) -> Tensor:
        hidden = functional.dropout(self.middle(hidden), 0.4, self.training)
        return self.last(functional.dropout(hidden, 0.2, self.training)) * self.gain

    def _stochastic_depth(self, hidden: Tensor) -> Tensor:
        kept = (torch.rand(()) < 0.5).float() * 2 if self.training else torch.ones(())
        return self.last(hidden + kept * self.middle(hidden)) * self.gain

    def _branches(self, hidden: Tensor) -> Tensor:
        return self.last(hidden) if float(self.gain) > 0.9 else self.last(self.middle(hidden)) * self.gain

    def _clamped_weights(self, hidden: Tensor) -> Tensor:
        weight = self.middle.weight / self.middle.weight.norm().clamp_min(1e-3)
        return self.last(functional.linear(hidden, weight)) * self.gain

    def _float64_inside(self, hidden: Tensor) -> Tensor:
        return self.last(hidden.double().cumsum(1).float()) * self.gain

    def _float64_outside(self, hidden: Tensor) -> Tensor:
        return self.last(hidden).double() * self.gain

    def _bfloat16_outside(self, hidden: Tensor) -> Tensor:
        return (self.last(hidden) * self.gain).bfloat16()

    def _float16_outside(self, hidden: Tensor) -> Tensor:
        return (self.last(hidden) * self.gain).half()


STACKABLE = (
    "constant buffers", "residual", "used twice", "tied", "buffer in place", "buffer in place always", "noise",
    "functional dropout", "stochastic depth", "clamped weights", "float64 inside", "float64 outside", "bfloat16 outside",
    "float16 outside", "unused parameter",
)  # fmt: skip
NOT_STACKABLE = (
    "buffer assigned", "average assigned", "assigned in evaluation", "counter", "plain tensor", "branches",
)  # fmt: skip

COUNTS_EVALUATIONS = ("buffer in place always", "buffer assigned", "assigned in evaluation", "counter", "plain tensor")


def own(what: str) -> Callable[[Generator, Shape, int], Factory]:
    def kind(rng: Generator, shape: Shape, outputs: int) -> Factory:
        options = Options(math.prod(shape), int(rng.integers(1, 8)), outputs, what, float(rng.uniform(0.5, 2)))
        return lambda: Own(options)

    return kind


class Recurrent(nn.Module):
    def __init__(self, features: int, outputs: int, cell: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.memory, self.head = cell(features, 3, batch_first=True), nn.Linear(3, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.memory(inputs.flatten(1).unsqueeze(1).expand(-1, 2, -1))[0][:, -1])


def recurrent(rng: Generator, shape: Shape, outputs: int) -> Factory:
    cell = pick(rng, [nn.LSTM, nn.GRU])
    return lambda: Recurrent(math.prod(shape), outputs, cell)


def reparametrised(rng: Generator, shape: Shape, outputs: int) -> Factory:
    norm = pick(rng, [parametrizations.weight_norm, parametrizations.orthogonal, parametrizations.spectral_norm])
    features = math.prod(shape)
    return lambda: nn.Sequential(nn.Flatten(), norm(nn.Linear(features, 4)), nn.Tanh(), nn.Linear(4, outputs))


class Attention(nn.Module):
    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Linear(features, 4)
        self.attention, self.head = nn.MultiheadAttention(2, 1, batch_first=True), nn.Linear(4, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        tokens = self.embedding(inputs.flatten(1)).unflatten(1, (2, 2))
        return self.head((tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]).flatten(1))


def attention(rng: Generator, shape: Shape, outputs: int) -> Factory:
    features = math.prod(shape)
    return lambda: Attention(features, outputs)


@dataclass(frozen=True)
class Kind:
    """A kind of module.

    Attributes:
        draw: draws sizes and returns the factory.
        images: whether the inputs must be images.
        stackable: whether networks can be trained as a population; None where it depends on what is drawn.
        weight: how often it is drawn.
    """

    draw: Callable[[Generator, Shape, int], Factory]
    images: bool = False
    stackable: bool | None = None
    weight: float = 1.0


KINDS: dict[str, Kind] = {
    "MLP, a chain": Kind(mlp_chain, stackable=True, weight=8),
    "MLP": Kind(mlp, stackable=None, weight=3),
    "zero head": Kind(zero_head, stackable=True, weight=2),
    "CNN, a chain": Kind(cnn_chain, images=True, weight=4),
    "CNN": Kind(cnn, images=True, weight=3),
    "normalised": Kind(normalised, weight=4),
    "frozen": Kind(frozen, weight=2),
    "recurrent": Kind(recurrent, weight=0.5),
    "attention": Kind(attention, stackable=True, weight=0.5),
    "reparametrised": Kind(reparametrised, weight=0.5),
    **{what: Kind(own(what), stackable=True, weight=0.7) for what in STACKABLE},
    **{what: Kind(own(what), stackable=False, weight=0.4) for what in NOT_STACKABLE},
}
