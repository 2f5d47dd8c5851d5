"""A loss takes what a model returns: an object with logits, a dict or a tuple; and refuses what is not certain."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from glo.errors import ConfigError
from glo.loss import ExpressionLoss

WRAPPERS: dict[str, Any] = {
    "attribute": lambda logits: SimpleNamespace(logits=logits, hidden=None),
    "dict": lambda logits: {"hidden": None, "logits": logits},
    "tuple": lambda logits: (logits, None),
    "list": lambda logits: [logits],
}


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_logits_of_samples(wrap: Any) -> None:
    loss, z = ExpressionLoss("baikal"), normal(4, 3)
    for target in (torch.tensor([0, 2, 1, 1]), normal(4, 3).softmax(1)):
        torch.testing.assert_close(loss(wrap(z), target), loss(z, target), rtol=0, atol=0)


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
def test_logits_of_tokens_have_their_classes_last(wrap: Any) -> None:
    loss, z, labels = ExpressionLoss("baikal"), normal(2, 5, 3), torch.tensor([[0, 1, 2, -100, -100], [2, 1, 0, 0, -100]])
    torch.testing.assert_close(loss(wrap(z), labels), loss(z.reshape(10, 3), labels.reshape(10)))


@pytest.mark.parametrize("wrap", [WRAPPERS["dict"], WRAPPERS["tuple"]], ids=["dict", "tuple"])
def test_logits_of_tokens_with_the_classes_second(wrap: Any) -> None:
    loss, z, labels = ExpressionLoss("baikal"), normal(2, 3, 5), torch.zeros(2, 5, dtype=torch.int64)
    torch.testing.assert_close(loss(wrap(z), labels), loss(z, labels), rtol=0, atol=0)


def test_as_many_tokens_as_classes() -> None:
    """In an object with logits the classes are last; nothing says so of a tuple or a dict."""
    loss, z, labels = ExpressionLoss("baikal"), normal(2, 3, 3), torch.tensor([[0, 1, 2], [1, 1, 0]])
    value = loss(SimpleNamespace(logits=z), labels)
    torch.testing.assert_close(value, loss(z.reshape(6, 3), labels.reshape(6)))
    assert not torch.isclose(value, loss(z, labels))
    for outputs in ((z,), {"logits": z}):
        with pytest.raises(ConfigError, match="do not show which dimension is the classes"):
            loss(outputs, labels)


def test_soft_labels_of_tokens() -> None:
    loss, z, labels = ExpressionLoss("baikal"), normal(2, 5, 3), normal(2, 5, 3).softmax(-1)
    expected = loss(z.reshape(10, 3), labels.reshape(10, 3))
    torch.testing.assert_close(loss(SimpleNamespace(logits=z), labels), expected)
    torch.testing.assert_close(loss(SimpleNamespace(logits=z), labels, num_items_in_batch=labels.numel()), expected)
    with pytest.raises(ConfigError, match="do not show which dimension is the classes"):
        loss((z,), labels)


def test_logits_of_pixels_have_their_classes_second() -> None:
    loss, z, labels = ExpressionLoss("baikal", ignore_index=255), normal(2, 3, 4, 5), torch.ones(2, 4, 5, dtype=torch.int64)
    labels[0] = 255
    torch.testing.assert_close(loss(SimpleNamespace(logits=z), labels), loss(z, labels), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "link"), [("mse", "identity"), ("binary_cross_entropy", "sigmoid")])
def test_a_single_output_fits_labels_without_classes(name: str, link: str) -> None:
    loss, z, labels = ExpressionLoss(name, link=link), normal(4, 1), torch.tensor([0, 1, 1, 0])
    torch.testing.assert_close(loss((z,), labels), loss(z[:, 0], labels), rtol=0, atol=0)
    torch.testing.assert_close(loss((z,), labels, num_items_in_batch=4), loss(z[:, 0], labels))


class Output(NamedTuple):
    logits: Any


LABELS = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("outputs", "labels", "link", "message"),
    [
        ({"hidden": normal(2, 3)}, LABELS, "softmax", "no logits in dict"),
        (Output(None), LABELS, "softmax", "no logits in Output"),
        ((), LABELS, "softmax", "no logits in tuple"),
        (None, LABELS, "softmax", "no logits in NoneType"),
        ((torch.tensor(1.0), normal(2, 3)), LABELS, "softmax", "single number, such as a loss"),
        ((normal(2, 3),), None, "softmax", "labels are a tensor, not NoneType"),
        ((normal(2, 1),), LABELS, "softmax", "softmax of a single output"),
        ((normal(2, 3),), torch.tensor([[1, 0, -100], [0, 0, 1]]), "sigmoid", "label below 0"),
        ((normal(2, 3, 5),), torch.zeros(2, 4, dtype=torch.int64), "softmax", "do not show which dimension"),
        ((normal(2, 3),), torch.zeros(3, dtype=torch.int64), "softmax", "does not fit an input"),
        ((normal(2, 3),), torch.zeros(2), "identity", "does not fit an input"),
    ],
)
def test_what_is_not_certain_is_refused(outputs: Any, labels: Any, link: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ExpressionLoss("brier", link=link)(outputs, labels)
