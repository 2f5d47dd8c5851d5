"""ExpressionLoss as a part of a PyTorch program: copies, checkpoints, `torch.func`, meta tensors, export, two processes."""

from __future__ import annotations

import copy
import itertools
import pickle
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, hessian, jvp, vmap

from glo.errors import ConfigError
from glo.loss import ExpressionLoss
from glo.loss.module import SoftmaxExpressionLoss

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # from PyTorch's own derivatives
CLASSES = 3
WEIGHT = [1.0, 2.0, 0.5]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight": {"weight": WEIGHT},
    "ignore_index": {"ignore_index": 1},
    "label_smoothing": {"label_smoothing": 0.2},
    "all": {"weight": WEIGHT, "ignore_index": 1, "label_smoothing": 0.2},
}
LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"softmax, {name}": ("log(y) - x/y", options) for name, options in OPTIONS.items()},
    "softmax, log(1 - y)": ("x*log(y) + (1 - x)*log(1 - y)", {}),
    "sigmoid": ("x*log(y) + (1 - x)*log(1 - y)", {"link": "sigmoid", "pos_weight": WEIGHT}),
    "identity": ("-square(x - y)", {"link": "identity"}),
}


def case(name: str, dtype: torch.dtype = torch.float32, **more: Any) -> tuple[ExpressionLoss, Tensor, Tensor]:
    """A loss, logits of shape (5, 3) and a target."""
    expression, options = LOSSES[name]
    loss = ExpressionLoss(expression, **options, **more)
    generator = torch.Generator().manual_seed(1)
    z = torch.randn(5, CLASSES, generator=generator, dtype=dtype)
    indices = torch.tensor([0, 1, 2, 2, 0])
    return (
        loss,
        z,
        indices if name.startswith("softmax") else torch.rand(5, CLASSES, generator=generator, dtype=dtype).round(),
    )


class Model(nn.Module):
    """A layer with a loss as a submodule."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.layer, self.loss = nn.Linear(4, CLASSES), loss


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])  # noqa: S301
def test_a_copy_is_the_same_loss(name: str, copied: Callable[[ExpressionLoss], ExpressionLoss]) -> None:
    loss, z, target = case(name)
    other = copied(loss)
    assert (type(other), repr(other)) == (type(loss), repr(loss))
    torch.testing.assert_close(other(z, target), loss(z, target), rtol=0, atol=0)


def test_only_the_class_depends_on_the_link() -> None:
    losses = [ExpressionLoss("brier", link=link) for link in ("softmax", "sigmoid", "identity")]
    assert [isinstance(loss, nn.CrossEntropyLoss) for loss in losses] == [True, False, False]
    assert [isinstance(loss, nn.BCEWithLogitsLoss) for loss in losses] == [False, True, False]
    assert {repr(loss).partition("(")[0] for loss in losses} == {"ExpressionLoss"}
    remade = SoftmaxExpressionLoss("mse", link="identity")  # skorch makes a loss anew from the type of an old one
    assert type(losses[0]) is SoftmaxExpressionLoss
    assert type(remade) is ExpressionLoss
    torch.testing.assert_close(remade(torch.tensor([1.0]), torch.tensor([3.0])), torch.tensor(4.0))


def test_a_subclass_of_the_users_stays_one() -> None:
    class Scaled(ExpressionLoss):
        def forward(self, *arguments: Any, **options: Any) -> Tensor:
            return 10 * super().forward(*arguments, **options)

    z, target = torch.zeros(1, 2), torch.tensor([0])
    assert type(Scaled("x*log(y)")) is Scaled
    torch.testing.assert_close(Scaled("x*log(y)")(z, target), 10 * torch.tensor(2.0).log())


def test_activation_is_the_prediction_of_the_link() -> None:
    z = torch.tensor([[0.0, 2.0, -1.0]])
    for link, expected in (("softmax", z.softmax(-1)), ("sigmoid", z.sigmoid()), ("identity", z)):
        torch.testing.assert_close(ExpressionLoss("brier", link=link).activation(z), expected)


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    saved, path = Model(ExpressionLoss("baikal", weight=WEIGHT)), tmp_path / "model.pt"
    torch.save(saved.state_dict(), path)
    loaded = Model(ExpressionLoss("log(y) - x/y", weight=[1.0, 1.0, 1.0]))
    loaded.load_state_dict(torch.load(path, weights_only=True))
    torch.testing.assert_close(loaded.state_dict(), saved.state_dict(), rtol=0, atol=0)
    assert loaded.state_dict()["loss.weight"].tolist() == WEIGHT
    assert bytes(saved.state_dict()["loss._extra_state"].tolist()) == b"softmax: log(y) - x/y"


@pytest.mark.parametrize("other", [{"expr": "mae"}, {"expr": "baikal", "link": "sigmoid"}], ids=["expression", "link"])
def test_checkpoint_of_another_loss_is_refused_if_strict(other: dict[str, Any]) -> None:
    state, model = Model(ExpressionLoss("baikal")).state_dict(), Model(ExpressionLoss(**other))
    with pytest.raises(RuntimeError, match=r"trained with the loss 'softmax: log\(y\) - x/y'"):
        model.load_state_dict(state)
    keys = model.load_state_dict(state, strict=False)
    assert len(keys.unexpected_keys) == 1
    torch.testing.assert_close(model.layer.weight, state["layer.weight"])


def test_checkpoints_with_and_without_cross_entropy_fit() -> None:
    """A model whose loss was nn.CrossEntropyLoss before; its checkpoint does not name an expression."""
    weight = torch.tensor(WEIGHT)
    model = Model(ExpressionLoss("baikal", weight=torch.ones(CLASSES)))
    model.load_state_dict(Model(nn.CrossEntropyLoss(weight)).state_dict())
    assert isinstance(model.loss.weight, Tensor)
    assert model.loss.weight.tolist() == WEIGHT
    with pytest.raises(RuntimeError, match=r"Missing key.*loss\.weight"):
        model.load_state_dict(OrderedDict(nn.ModuleDict({"layer": nn.Linear(4, CLASSES)}).state_dict()))


@pytest.mark.parametrize("name", LOSSES)
def test_vmap_and_grad_are_a_loop_over_samples(name: str) -> None:
    loss, z, target = case(name, reduction="sum")
    alone = [loss(z[i : i + 1], target[i : i + 1]) for i in range(len(z))]
    torch.testing.assert_close(vmap(lambda a, b: loss(a[None], b[None]))(z, target), torch.stack(alone))
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, target), leaf)
    torch.testing.assert_close(vmap(grad(lambda a, b: loss(a[None], b[None])))(z, target), expected)
    slope = jvp(lambda a: loss(a, target), (z,), (z,))[1]
    torch.testing.assert_close(slope, (z * expected).sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_second_derivatives(name: str) -> None:
    loss, z, target = case(name, torch.float64)
    leaf = z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda a: loss(a, target), leaf)
    assert torch.autograd.gradgradcheck(lambda a: loss(a, target), leaf)
    expected = torch.autograd.functional.hessian(lambda a: loss(a, target), z)
    torch.testing.assert_close(hessian(loss)(z, target), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_meta_tensors(name: str) -> None:
    """Also with the factors of the classes on another device than the logits."""
    for reduction in ("mean", "sum", "none"):
        loss, z, target = case(name, reduction=reduction)
        value = loss(z.to("meta"), target.to("meta"))
        assert (value.device.type, value.shape, value.dtype) == ("meta", loss(z, target).shape, torch.float32)


def test_a_model_made_on_the_meta_device_loads_its_checkpoint() -> None:
    _, z, target = case("softmax, weight")
    saved = ExpressionLoss("baikal", weight=WEIGHT)
    with torch.device("meta"):
        made = ExpressionLoss("baikal", weight=[0.0, 0.0, 0.0])
        assert made.get_extra_state().tolist() == saved.get_extra_state().tolist()
    made.load_state_dict(saved.state_dict(), assign=True)
    torch.testing.assert_close(made(z, target), saved(z, target), rtol=0, atol=0)


EMPTY: dict[str, tuple[tuple[int, ...], Tensor]] = {
    "no samples": ((0, CLASSES), torch.zeros(0, dtype=torch.int64)),
    "no samples, probabilities": ((0, CLASSES), torch.zeros(0, CLASSES)),
    "no samples of an image": ((0, CLASSES, 2), torch.zeros(0, 2, dtype=torch.int64)),
    "no pixels": ((2, CLASSES, 0), torch.zeros(2, 0, dtype=torch.int64)),
    "all ignored": ((4, CLASSES), torch.full((4,), -100)),
    "all pixels ignored": ((2, CLASSES, 2), torch.full((2, 2), -100)),
    "one, ignored": ((CLASSES,), torch.tensor(-100)),
}


@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", EMPTY)
def test_batches_without_labels_are_those_of_cross_entropy(name: str, reduction: str, weighted: bool) -> None:
    shape, target = EMPTY[name]
    options: dict[str, Any] = {"reduction": reduction, "weight": torch.tensor(WEIGHT) if weighted else None}
    results = []
    for loss in (ExpressionLoss("x*log(y)", **options), nn.CrossEntropyLoss(**options)):
        z = torch.ones(shape, requires_grad=True)
        value = loss(z, target)
        value.sum().backward()
        results.append((value.detach(), z.grad))
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", LOSSES)
def test_exported_program_has_the_same_values(name: str) -> None:
    """For every size of the batch."""
    loss, z, target = case(name)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(loss, (z, target), dynamic_shapes=({0: batch}, {0: batch}))
    for rows in (5, 3):
        torch.testing.assert_close(program.module()(z[:rows], target[:rows]), loss(z[:rows], target[:rows]))


def test_two_processes_of_ddp_have_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    script = Path(__file__).parent / "two_processes.py"
    ranks = [
        subprocess.Popen([sys.executable, script, str(rank), tmp_path], stderr=subprocess.PIPE, text=True) for rank in (0, 1)
    ]
    try:
        errors = [rank.communicate(timeout=120)[1] for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], errors
    gradients = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    torch.testing.assert_close(gradients[0]["ddp"], gradients[1]["ddp"], rtol=0, atol=0)
    torch.testing.assert_close(gradients[0]["ddp"], gradients[0]["alone"])
    # Rank 1 was made with other factors; DDP gives it those of rank 0.
    assert [list(each["weight"]) for each in gradients] == [WEIGHT, WEIGHT]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("link", ["softmax", "sigmoid", "soft labels"])
def test_num_items_in_batch_makes_micro_batches_add_up(link: str, options: dict[str, Any]) -> None:
    """The sum over micro batches of different sizes is the loss of the whole batch, for a mean without weights."""
    options = {key: value for key, value in options.items() if key != "ignore_index" or link == "softmax"}
    loss = ExpressionLoss("baikal", **options, link="sigmoid" if link == "sigmoid" else "softmax")
    z, indices = torch.randn(7, CLASSES, generator=torch.Generator().manual_seed(0)), torch.arange(7) % CLASSES
    target = indices if link == "softmax" else nn.functional.one_hot(indices).float()
    items = (target != options.get("ignore_index", -100)).sum()
    parts = [loss(z[a:b], target[a:b], num_items_in_batch=items) for a, b in itertools.pairwise((0, 1, 3, 7))]
    whole = ExpressionLoss("baikal", **options, link=loss.link, reduction="sum")(z, target) / (
        items if link == "softmax" else 7
    )
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(loss(z, target, num_items_in_batch=int(items)), whole)
    if "weight" not in options or link != "softmax":
        torch.testing.assert_close(loss(z, target), whole)


@pytest.mark.parametrize("reduction", ["sum", "none"])
def test_num_items_in_batch_is_refused_with_another_reduction(reduction: Any) -> None:
    with pytest.raises(ConfigError, match="num_items_in_batch is for reduction 'mean'"):
        ExpressionLoss("mae", reduction=reduction)(torch.zeros(1, 2), torch.tensor([0]), num_items_in_batch=1)
