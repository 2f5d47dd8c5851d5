"""A model whose own forward pass is a chain is trained as that chain, with the same results; others are left alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from glo.catalog import NAMED
from glo.records import Training, TrainingConfig
from glo.tasks import Task
from glo.training import train_population, train_single
from glo.training.population import stacked_form
from glo.training.stacked import is_chain
from glo.training.traced import as_chain

CLASSES, TOKENS, SAMPLES = 3, 12, 8
Forward = Callable[[Any, Tensor], Tensor]
seen: list[Any] = []  # what the forward pass of `remembers` leaves behind


class Model(nn.Module):
    """Layers that forward passes below use, all of them or some."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.call = forward
        self.first, self.hidden, self.last = nn.Linear(16, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)
        self.vector = nn.Linear(8, 1)
        self.norm, self.drop, self.relu, self.same = nn.BatchNorm1d(8), nn.Dropout(0.3), nn.ReLU(), nn.Identity()
        self.body = nn.Sequential(nn.Linear(16, 8), nn.Sequential(nn.Tanh(), nn.LayerNorm(8)))
        self.image, self.of_image = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(16, CLASSES)
        self.table, self.padded = nn.Embedding(TOKENS, 8), nn.Embedding(TOKENS, 8, padding_idx=0)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.call(self, inputs)


def convolutional(m: Any, x: Tensor) -> Tensor:
    x = functional.max_pool2d(functional.relu(m.image(x)), 2)
    return m.of_image(x.view(x.size(0), -1))


CHAINS: dict[str, Forward] = {
    "functions": lambda m, x: m.last(functional.relu(m.hidden(torch.tanh(m.first(torch.flatten(x, 1)))))),
    "methods": lambda m, x: m.last(m.hidden(m.first(x.flatten(1)).relu()).sigmoid()),
    "a module twice": lambda m, x: m.last(m.relu(m.hidden(m.relu(m.first(x.flatten(1)))))),
    "nested modules": lambda m, x: m.last(m.same(m.body(x.flatten(1)))),
    "by size": lambda m, x: m.last(m.first(x.view(x.size(0), -1)).relu()),
    "by shape": lambda m, x: m.last(m.first(x.reshape(x.shape[0], -1)).relu()),
    "by size of all": lambda m, x: m.last(m.first(x.contiguous().view(x.size()[0], 16)).relu()),
    "by features": lambda m, x: m.last(m.first(x.view(-1, 16)).relu()),
    "by a tuple": lambda m, x: m.last(m.first(torch.reshape(x, (-1, 16))).relu()),
    "dropout and norm": lambda m, x: m.last(m.drop(m.norm(m.first(x.flatten(1))).relu())),
    "dropout as a function": lambda m, x: m.last(functional.dropout(m.first(x.flatten(1)), 0.4, m.training)),
    "options": lambda m, x: m.last(functional.gelu(functional.leaky_relu(m.first(x.flatten(1)), 0.2), approximate="tanh")),
    "other options": lambda m, x: m.last(functional.elu(functional.softplus(m.first(x.flatten(1)), beta=2), alpha=0.5)),
    "in place": lambda m, x: m.last(functional.silu(m.first(x.flatten(1)), inplace=True)),
    "of images": convolutional,
    "mean of tokens": lambda m, x: m.last(m.table(x).mean(1).relu()),
    "mean of tokens, by name": lambda m, x: m.last(torch.mean(m.table(x), dim=1)),
    "sum of tokens": lambda m, x: m.last(m.table(x).sum(dim=1).tanh()),
}


def remembers(m: Any, x: Tensor) -> Tensor:
    seen.append(x.shape[0])
    return m.last(m.first(x.flatten(1)))


def decides(m: Any, x: Tensor) -> Tensor:
    hidden = m.first(x.flatten(1))
    return m.last(hidden.relu() if hidden.sum() > 0 else hidden.tanh())


def asks_for_its_type(m: Any, x: Tensor) -> Tensor:
    hidden = m.first(x.flatten(1))
    return m.last(3 * hidden if isinstance(x, Tensor) else hidden)


OTHERS: dict[str, Forward] = {
    "added": lambda m, x: m.last(m.first(x.flatten(1)) + m.hidden(m.first(x.flatten(1)))),
    "skipped": lambda m, x: (m.first(x.flatten(1)), m.last(m.body(x.flatten(1))))[1],
    "scaled": lambda m, x: m.last(2 * m.first(x.flatten(1))),
    "another function": lambda m, x: m.last(torch.sin(m.first(x.flatten(1)))),
    "a parameter of its own": lambda m, x: functional.linear(m.first(x.flatten(1)), m.last.weight),
    "a layer twice": lambda m, x: m.last(m.hidden(m.hidden(m.first(x.flatten(1))))),
    "other sizes": lambda m, x: m.last(m.first(x.view(-1, 4, 16)).mean(1)),
    "always dropped": lambda m, x: m.last(functional.dropout(m.first(x.flatten(1)), 0.4)),
    "never dropped": lambda m, x: m.last(functional.dropout(m.first(x.flatten(1)), 0.4, training=False)),
    "other in training": lambda m, x: m.last(m.first(x.flatten(1)).relu() if m.training else m.first(x.flatten(1))),
    "tokens with padding": lambda m, x: m.last(m.padded(x).mean(1)),
    "tokens, over features": lambda m, x: m.last(m.table(x).mean(2)),
    "tokens, one by one": lambda m, x: m.last(m.table(x).flatten(1)[:, :8]),
    "remembers": remembers,
    "decides": decides,
    "asks for its type": asks_for_its_type,
}


def inputs_for(name: str, samples: int = SAMPLES) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    if "tokens" in name:
        return torch.randint(TOKENS, (samples, 8), generator=generator)
    return torch.randn(samples, 1, 4, 4, generator=generator)


def task_of(name: str, forward: Forward) -> Task:
    inputs = inputs_for(name, 90)
    labels = torch.arange(90) % CLASSES
    train, validation, test = ((inputs[i : i + 30], labels[i : i + 30]) for i in (0, 30, 60))
    return Task(name, lambda: Model(forward), train, validation, test)


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_found_and_trained_as_the_model_alone(name: str) -> None:
    task = task_of(name, CHAINS[name])
    assert is_chain(stacked_form(task, 0))
    losses = [Training(NAMED["cross_entropy"], 0.1), Training(NAMED["baikal"], 0.05)]
    config = TrainingConfig(steps=8, batch_size=10, momentum=0.5, weight_decay=0.01)
    for training, found in zip(losses, train_population(task, losses, config, 1, test=True), strict=True):
        alone = train_single(task, training, config, 1, test=True)
        assert (found.diverged, found.validation, found.test) == (alone.diverged, alone.validation, alone.test)


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_model_is_left_alone(name: str) -> None:
    model = Model(OTHERS[name])
    assert as_chain(model, inputs_for(name)) is model
    assert model.training


def test_a_chain_has_the_parameters_of_the_model() -> None:
    model = Model(CHAINS["mean of tokens"])
    chain = as_chain(model, inputs_for("tokens"))
    assert [id(parameter) for parameter in chain.parameters()] == [
        id(parameter) for parameter in (model.table.weight, model.last.weight, model.last.bias)
    ]


def test_one_output_may_be_squeezed() -> None:
    """`glo.tasks.as_matrix` makes one column of a vector anyway."""
    model = Model(lambda m, x: m.vector(m.first(x.flatten(1)).relu()).squeeze(-1))
    assert is_chain(as_chain(model, inputs_for("")))
    several = Model(lambda m, x: m.last(m.first(x.flatten(1))).squeeze(0))
    assert as_chain(several, inputs_for("")) is several


def test_what_watches_or_changes_the_passes_is_kept() -> None:
    def with_hook(m: Model) -> None:
        m.register_forward_hook(lambda module, arguments, output: None)

    def with_hook_inside(m: Model) -> None:
        m.body.register_forward_pre_hook(lambda module, arguments: None)

    def frozen(m: Model) -> None:
        m.first.requires_grad_(requires_grad=False)

    class NeverNormalises(Model):
        """Its normalisation stays in evaluation mode."""

        def train(self, mode: bool = True) -> NeverNormalises:
            super().train(mode)
            self.norm.eval()
            return self

    for change in (with_hook, with_hook_inside, frozen):
        model = Model(CHAINS["functions"])
        change(model)
        assert as_chain(model, inputs_for("")) is model
    model = NeverNormalises(CHAINS["dropout and norm"])
    assert as_chain(model, inputs_for("")) is model


def test_inputs_in_a_tuple_are_not_traced() -> None:
    model = Model(CHAINS["functions"])
    assert as_chain(model, (inputs_for(""),)) is model
