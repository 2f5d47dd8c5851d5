"""Products by oneDNN and by MKL agree, and those of one network do not depend on how many others there are."""

from __future__ import annotations

import pytest
import torch

from glo.training import products
from glo.training.products import LEAST, add_product, biased_product, product

SIZES = [(64, 64, 100), (64, 64, 32), (128, 784, 100), (256, 300, 128), (1024, 64, 20), (16, 13, 32), (3, 2, 1)]
NETWORKS = 8

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"),
    reason="this PyTorch has no oneDNN",
)


@pytest.fixture(params=[True, False], ids=["onednn", "mkl"])
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either library, whatever the CPU is."""
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param)


def operands(rows: int, inner: int, columns: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """P matrices, one matrix for all, and P matrices of the shape of the products."""
    generator = torch.Generator().manual_seed(rows + inner + columns)
    shapes = (NETWORKS, rows, inner), (columns, inner), (NETWORKS, rows, columns)
    left, right, target = (torch.randn(shape, generator=generator) for shape in shapes)
    return left, right.T, target


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("size", SIZES)
def test_products_are_right(size: tuple[int, int, int]) -> None:
    left, right, target = operands(*size)
    bias = torch.randn(NETWORKS, size[0], 1)
    exact = left.double() @ right.double()
    torch.testing.assert_close(product(left, right), exact.float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(biased_product(bias, left, right), (exact + bias).float(), rtol=1e-5, atol=1e-4)
    for beta, alpha in ((1.0, -1.0), (0.9, 1.0), (1.0, -0.3)):
        found = target.clone()
        add_product(found, left, right, beta, alpha)
        torch.testing.assert_close(found, (beta * target + alpha * exact).float(), rtol=1e-5, atol=1e-4)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("size", SIZES)
def test_a_network_does_not_depend_on_the_others(size: tuple[int, int, int]) -> None:
    """To the bit: a population is trained in parts of any size."""
    left, right, target = operands(*size)
    bias = torch.randn(NETWORKS, size[0], 1)
    whole, biased, added = product(left, right), biased_product(bias, left, right), target.clone()
    add_product(added, left, right, 1.0, -1.0)
    for part in (slice(0, 4), slice(3, 8), slice(5, 6)):
        assert torch.equal(product(left[part], right), whole[part])
        assert torch.equal(biased_product(bias[part], left[part], right), biased[part])
        of_part = target[part].clone()
        add_product(of_part, left[part], right, 1.0, -1.0)
        assert torch.equal(of_part, added[part])


@pytest.mark.parametrize("networks", [1, 100])
def test_which_library_depends_on_the_size_of_one_network(networks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)
    at_least, less = torch.zeros(networks, 64, 64), torch.zeros(networks, 63, 64)
    right = torch.zeros(64, LEAST // 64**2)
    assert products._suits_onednn(at_least, right)
    assert not products._suits_onednn(less, right)
    assert not products._suits_onednn(at_least.double(), right.double())
    assert not products._suits_onednn(at_least.flatten(0, 1), right)
