"""ExpressionLoss: `x*log(y)` equals `nn.CrossEntropyLoss` with every option; the other links equal PyTorch's own losses."""

from __future__ import annotations

import copy
import pickle
import shutil
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glo.errors import ConfigError, ExpressionError
from glo.expr import parse
from glo.loss import ExpressionLoss, PopulationLoss, source
from glo.records import Link

CLASSES = 5
SHAPES = {"C": (CLASSES,), "NC": (7, CLASSES), "NCd": (4, CLASSES, 3), "NCd1d2": (3, CLASSES, 2, 3)}
WEIGHT = [0.5, 1.0, 2.0, 0.25, 1.5]
USED_INDEX = 2  # an ignore_index that occurs among the targets
COMPILER = shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")


def seeded(*case: object) -> torch.Generator:
    """A generator for each case; its seed is no `hash`, which changes between runs."""
    return torch.Generator().manual_seed(zlib.crc32(repr(case).encode()))


def class_dim(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) > 1 else 0


def index_target(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Class indices; if there are several, the first is `USED_INDEX` and the second is not."""
    dim = class_dim(shape)
    target = torch.randint(CLASSES, shape[:dim] + shape[dim + 1 :], generator=generator)
    if target.dim() > 0:
        target.view(-1)[:2] = torch.tensor([USED_INDEX, USED_INDEX + 1])
    return target


def soft_target(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=torch.float64).softmax(class_dim(shape))


def value_and_gradient(loss: Callable[[Tensor, Tensor], Tensor], z: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss, and the gradient of a weighted sum of its elements."""
    z = z.clone().requires_grad_()
    value = loss(z, target)
    factors = torch.linspace(1, 2, value.numel(), dtype=value.dtype).reshape(value.shape)
    (gradient,) = torch.autograd.grad((value * factors).sum(), z)
    return value.detach(), gradient


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-6) -> None:
    """Assert equality up to a fraction of the largest magnitude; NaN equals NaN."""
    magnitude = expected.abs().nan_to_num().max().item()
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance * max(magnitude, 1.0), equal_nan=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("kind", ["indices", "indices, one ignored", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_is_cross_entropy(
    shape: str, reduction: str, weighted: bool, smoothing: float, kind: str, scale: float, dtype: torch.dtype
) -> None:
    size, generator = SHAPES[shape], seeded(shape, reduction, weighted, smoothing, kind, scale)
    z = (torch.randn(size, generator=generator, dtype=torch.float64) * scale).to(dtype)
    if scale > 1:  # both extremes
        z.view(-1)[:2] = torch.tensor([scale, -scale])
    target = soft_target(size, generator).to(dtype) if kind == "probabilities" else index_target(size, generator)
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    options["weight"] = torch.tensor(WEIGHT, dtype=dtype) if weighted else None
    if "ignored" in kind:
        options["ignore_index"] = USED_INDEX

    value, gradient = value_and_gradient(ExpressionLoss("x*log(y)", **options), z, target)
    expected_value, expected_gradient = value_and_gradient(nn.CrossEntropyLoss(**options), z, target)

    assert value.dtype == dtype
    assert value.shape == expected_value.shape
    assert_close(value, expected_value)
    assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_all_targets_ignored_as_in_cross_entropy(reduction: str) -> None:
    z, target = torch.randn(4, CLASSES, generator=seeded(reduction)), torch.full((4,), -100)
    found = ExpressionLoss("x*log(y)", reduction=reduction)(z, target)  # pyright: ignore[reportArgumentType]
    assert_close(found, nn.CrossEntropyLoss(reduction=reduction)(z, target))


@pytest.mark.parametrize("expression", ["x*log(y)", "baikal", "mae"])
def test_ignored_sample_does_not_count(expression: str) -> None:
    z = torch.tensor([[1.0, 2.0, 3.0], [1e4, 0.0, -1e4]])
    loss = ExpressionLoss(expression)
    value, gradient = value_and_gradient(loss, z, torch.tensor([0, -100]))
    expected_value, expected_gradient = value_and_gradient(loss, z[:1], torch.tensor([0]))
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(gradient, torch.cat([expected_gradient, torch.zeros(1, 3)]))


@pytest.mark.parametrize("kind", ["indices", "probabilities"])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_under_bfloat16_autocast(kind: str, smoothing: float) -> None:
    """Under autocast, a linear layer computes in bfloat16 and the loss in float32."""
    generator = seeded(kind, smoothing)
    inputs = torch.randn(16, 8, generator=generator)
    size = (16, CLASSES)
    target = soft_target(size, generator).float() if kind == "probabilities" else index_target(size, generator)
    results = []
    for loss in (
        ExpressionLoss("x*log(y)", label_smoothing=smoothing),
        lambda z, t: nn.functional.cross_entropy(z.float(), t, label_smoothing=smoothing),
    ):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer = nn.Linear(8, CLASSES)
        with torch.autocast("cpu", torch.bfloat16):
            logits = layer(inputs)
            value = loss(logits, target)
        assert logits.dtype == torch.bfloat16
        value.backward()
        assert layer.weight.grad is not None
        results.append((value.detach(), layer.weight.grad))
    (value, gradient), (expected_value, expected_gradient) = results
    assert value.dtype == torch.float32
    assert_close(value, expected_value)
    # The gradient of the loss is rounded to bfloat16 (8 bits) before the layer; nearly equal gradients may round apart.
    assert_close(gradient, expected_gradient, tolerance=2**-8)


@pytest.mark.parametrize("expression", ["x*log(y)", "baikal"])
def test_bfloat16_logits_are_computed_in_float32(expression: str) -> None:
    generator = seeded(expression)
    logits = torch.randn(32, CLASSES, generator=generator).bfloat16()
    target = index_target((32, CLASSES), generator)
    loss = ExpressionLoss(expression)
    value, gradient = value_and_gradient(loss, logits, target)
    expected_value, expected_gradient = value_and_gradient(loss, logits.float(), target)
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(value, expected_value, rtol=0, atol=0)
    torch.testing.assert_close(gradient, expected_gradient.bfloat16())


COMPILED = {
    "cross-entropy": ("x*log(y)", {}, "indices"),
    "all options": (
        "x*log(y)",
        {"weight": torch.tensor(WEIGHT), "label_smoothing": 0.2, "ignore_index": USED_INDEX},
        "indices",
    ),
    "soft, none": ("baikal", {"reduction": "none"}, "probabilities"),
    "sigmoid": ("binary_cross_entropy", {"link": "sigmoid", "class_reduction": "mean"}, "probabilities"),
    "softmax, log(1 - y)": ("x*log(y) + (1 - x)*log(1 - y)", {}, "indices"),
    "pos_weight": ("binary_cross_entropy", {"link": "sigmoid", "pos_weight": torch.tensor(WEIGHT)}, "probabilities"),
    "identity": ("max(-square(x - y), -abs(x - y))", {"link": "identity", "reduction": "sum"}, "probabilities"),
}


def check_compiled(case: str, **how: Any) -> None:
    expression, options, kind = COMPILED[case]
    generator = seeded(case)
    z = torch.randn(6, CLASSES, generator=generator)
    target = soft_target((6, CLASSES), generator).float()
    target = index_target((6, CLASSES), generator) if kind == "indices" else target
    loss = ExpressionLoss(expression, **options)
    torch.compiler.reset()
    value, gradient = value_and_gradient(torch.compile(loss, fullgraph=True, **how), z, target)
    expected_value, expected_gradient = value_and_gradient(loss, z, target)
    assert_close(value, expected_value)
    assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("case", COMPILED)
def test_compiles_as_one_graph(case: str) -> None:
    check_compiled(case, backend="aot_eager")


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler for the default backend of torch.compile")
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # from PyTorch's own compiler
def test_compiles_with_the_default_backend() -> None:
    check_compiled("all options")


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (3, 4, 2)])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_sigmoid_is_binary_cross_entropy(shape: tuple[int, ...], weighted: bool) -> None:
    generator = seeded(shape, weighted)
    z = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    target.view(-1)[::2] = (target.view(-1)[::2] > 0.5).double()
    weight = torch.tensor(WEIGHT[: shape[1]], dtype=torch.float64) if weighted and len(shape) > 1 else None
    loss = ExpressionLoss("binary_cross_entropy", link="sigmoid", class_reduction="mean", weight=weight)
    expected_weight = None if weight is None else weight.reshape(-1, *[1] * (len(shape) - 2))
    value, gradient = value_and_gradient(loss, z, target)
    expected_value, expected_gradient = value_and_gradient(nn.BCEWithLogitsLoss(weight=expected_weight), z, target)
    assert_close(value, expected_value)
    assert_close(gradient, expected_gradient)


def test_sigmoid_accepts_integer_labels() -> None:
    z, target = torch.randn(12, 1, generator=seeded("integers")), torch.arange(12).reshape(12, 1) % 2
    loss = ExpressionLoss("binary_cross_entropy", link="sigmoid")
    assert_close(loss(z, target), nn.functional.binary_cross_entropy_with_logits(z, target.float()))


def test_sigmoid_smooths_towards_one_half() -> None:
    z, target = torch.randn(12, 3, generator=seeded("smooth")), torch.randint(2, (12, 3), generator=seeded("labels")).float()
    loss = ExpressionLoss("binary_cross_entropy", link="sigmoid", class_reduction="mean", label_smoothing=0.2)
    assert_close(loss(z, target), nn.functional.binary_cross_entropy_with_logits(z, 0.8 * target + 0.1))


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 4), (3, 4, 2)])
@pytest.mark.parametrize(("name", "reference"), [("mse", nn.MSELoss()), ("mae", nn.L1Loss())])
def test_identity_is_regression(shape: tuple[int, ...], name: str, reference: nn.Module) -> None:
    generator = seeded(shape, name)
    z, target = (100 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    value, gradient = value_and_gradient(ExpressionLoss(name, link=Link.IDENTITY, class_reduction="mean"), z, target)
    expected_value, expected_gradient = value_and_gradient(reference, z, target)
    assert_close(value, expected_value)
    assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("link", ["softmax", "sigmoid", "identity"])
@pytest.mark.parametrize("shape", SHAPES)
def test_class_mean_is_the_sum_divided_by_the_number_of_classes(shape: str, link: str) -> None:
    size, generator = SHAPES[shape], seeded(shape, link)
    z = torch.randn(size, generator=generator, dtype=torch.float64)
    target = soft_target(size, generator)
    of_sum = value_and_gradient(ExpressionLoss("baikal", link=link), z, target)
    of_mean = value_and_gradient(ExpressionLoss("baikal", link=link, class_reduction="mean"), z, target)
    # For sigmoid and identity, an input of shape (N) has no class dimension.
    classes = 1 if link != "softmax" and len(size) == 1 else CLASSES
    for found, expected in zip(of_mean, of_sum, strict=True):
        assert_close(found, expected / classes)


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_constant_and_loss_of_labels_alone_have_the_usual_shape(reduction: str, link: Link) -> None:
    z, target = torch.randn(6, 3, generator=seeded(link)), torch.full((6, 3), 1 / 3)
    for expression, each in (("2", -6.0), ("x", -1.0)):
        value = ExpressionLoss(expression, reduction=reduction, link=link)(z, target)  # pyright: ignore[reportArgumentType]
        expected = {"mean": torch.tensor(each), "sum": torch.tensor(6 * each), "none": torch.full((6,), each)}[reduction]
        torch.testing.assert_close(value, expected)


@pytest.mark.parametrize(
    "options",
    [
        {"reduction": "average"},
        {"class_reduction": "none"},
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"label_smoothing": float("nan")},
        {"eps": 0.0},
        {"eps": 0.5},
        {"link": "probit"},
        # Options without meaning for the link.
        {"label_smoothing": 0.1, "link": "identity"},
        {"ignore_index": 0, "link": "identity"},
        {"ignore_index": 0, "link": "sigmoid"},
        {"pos_weight": [2.0], "link": "softmax"},
        {"pos_weight": [2.0], "link": "identity"},
    ],
    ids=str,
)
def test_bad_options_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        ExpressionLoss("x*log(y)", **options)


def test_ignore_index_is_refused_with_probabilities() -> None:
    loss = ExpressionLoss("x*log(y)", ignore_index=1)
    with pytest.raises(ConfigError, match="ignore_index"):
        loss(torch.zeros(2, 3), torch.full((2, 3), 1 / 3))


def test_bad_expression_is_refused() -> None:
    with pytest.raises(ExpressionError, match="named losses are"):
        ExpressionLoss("bikal")


@pytest.mark.parametrize(
    ("shape", "target"),
    [
        ((4, 3), torch.zeros(5, dtype=torch.int64)),
        ((4, 3), torch.zeros(3, dtype=torch.int64)),
        ((4, 3), torch.zeros(1, dtype=torch.int64)),
        ((4, 3), torch.zeros(4, 1, dtype=torch.int64)),
        ((4, 3, 6), torch.zeros(4, 5, dtype=torch.int64)),
        ((4, 3), torch.zeros(4, 2)),
        ((4, 3), torch.zeros(4)),
        ((4, 3), torch.zeros(1, 3)),
        ((3,), torch.zeros(2)),
    ],
    ids=lambda value: f"{value.dtype}{tuple(value.shape)}" if isinstance(value, Tensor) else str(value),
)
def test_target_of_the_wrong_shape_is_refused(shape: tuple[int, ...], target: Tensor) -> None:
    """A target that is broadcast, or covers only some samples, would train on wrong labels."""
    with pytest.raises((ConfigError, RuntimeError)):
        ExpressionLoss("x*log(y)")(torch.zeros(shape), target)


@pytest.mark.parametrize("link", ["sigmoid", "identity"])
@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 3), (3, 4)])
def test_other_links_do_not_broadcast_targets(shape: tuple[int, ...], link: str) -> None:
    with pytest.raises(ConfigError, match=r"\(4, 3\)"):
        ExpressionLoss("mse", link=link)(torch.zeros(4, 3), torch.zeros(shape))


@pytest.mark.parametrize("index", [3, -1, 255])
@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (3,)], ids=str)
def test_class_index_out_of_range_is_refused_by_name(shape: tuple[int, ...], index: int) -> None:
    target = torch.zeros(shape[:1] + shape[2:] if len(shape) > 1 else (), dtype=torch.int64)
    target.view(-1)[-1] = index
    with pytest.raises(ConfigError, match=f"class {index} .* 3 classes"):
        ExpressionLoss("x*log(y)")(torch.zeros(shape), target)


INTEGERS = [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_class_indices_of_every_integer_type(dtype: torch.dtype) -> None:
    z = torch.randn(300, 200, generator=seeded(dtype))
    target = (torch.arange(300) % (200 if dtype is not torch.int8 else 120)).to(dtype)
    expected = nn.functional.cross_entropy(z, target.long())
    assert_close(ExpressionLoss("x*log(y)")(z, target), expected)
    # 300 samples of 200 classes are more than a uint8 can count.
    assert_close(PopulationLoss([parse("x*log(y)")]).value(z[None], target)[0], expected)
    assert_close(
        ExpressionLoss("x*log(y)", ignore_index=7)(z, target), nn.functional.cross_entropy(z, target.long(), ignore_index=7)
    )
    forms: list[Any] = [("torch", (z, target)), ("numpy", (z.numpy(), target.numpy()))]
    for language, arguments in forms:
        names: dict[str, Any] = {}
        exec(source(parse("x*log(y)"), language), names)  # noqa: S102 - running the exported code is the test
        assert float(names["loss"](*arguments)) == pytest.approx(expected.item(), rel=1e-5)


def test_true_and_false_are_classes_1_and_0() -> None:
    z, target = torch.randn(6, 2, generator=seeded("bool")), torch.arange(6) % 2 == 1
    assert_close(ExpressionLoss("x*log(y)")(z, target), nn.functional.cross_entropy(z, target.long()))


@pytest.mark.parametrize("dtype", [*INTEGERS, torch.bool, torch.float64], ids=str)
def test_labels_of_every_type_under_sigmoid(dtype: torch.dtype) -> None:
    z, target = torch.randn(6, 4, generator=seeded(dtype)), (torch.arange(24).reshape(6, 4) % 3 == 0).to(dtype)
    expected = nn.functional.binary_cross_entropy_with_logits(z, target.float())
    expression = parse("x*log(y) + (1 - x)*log(1 - y)")
    assert_close(ExpressionLoss(expression, link="sigmoid", class_reduction="mean")(z, target), expected)
    assert_close(PopulationLoss([expression], Link.SIGMOID, "mean").value(z[None], target)[0], expected)


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
@pytest.mark.parametrize(
    "factors",
    [torch.tensor(2.0), torch.ones(1, 3), torch.ones(3, 1), [[1.0, 2.0, 3.0]], "abc", [1, "a"], {"a": 1.0}],
    ids=str,
)
def test_weight_that_is_no_list_of_numbers_is_refused_by_name(factors: Any, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} "):
        ExpressionLoss("mae", link="sigmoid", **{name: factors})


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
@pytest.mark.parametrize(
    ("shape", "count"), [((4, 1), 3), ((4, 3), 1), ((4, 3), 2), ((4,), 4), ((4, 3, 2), 2), ((4, 1), 19)]
)
def test_weight_for_another_number_of_classes_is_refused(shape: tuple[int, ...], count: int, name: str) -> None:
    """It would be broadcast over samples or classes."""
    factors: Any = {name: [1.0] * count}
    with pytest.raises(ConfigError, match=rf"^{name} has {count} numbers"):
        ExpressionLoss("mae", link="sigmoid", **factors)(torch.zeros(shape), torch.zeros(shape))


def test_weight_of_another_number_of_classes_is_refused_under_softmax() -> None:
    for weight in ([2.0], [1.0, 2.0]):
        with pytest.raises(ConfigError, match="3 classes"):
            ExpressionLoss("x*log(y)", weight=weight)(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_weight_may_be_a_list_or_of_another_type() -> None:
    z, target = torch.randn(7, CLASSES, generator=seeded("list")), index_target((7, CLASSES), seeded("target"))
    expected = nn.functional.cross_entropy(z, target, torch.tensor(WEIGHT))
    weights: list[Any] = [WEIGHT, tuple(WEIGHT), torch.tensor(WEIGHT).double(), torch.tensor(WEIGHT).numpy()]
    for weight in weights:
        found = ExpressionLoss("x*log(y)", weight=weight)(z, target)
        assert found.dtype == torch.float32
        assert_close(found, expected)
    whole = ExpressionLoss("x*log(y)", weight=[1, 2, 3, 4, 5])(z, target)
    assert_close(whole, nn.functional.cross_entropy(z, target, torch.arange(1.0, 6.0)))


@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_weight_of_a_single_output(shape: tuple[int, ...]) -> None:
    z, target = torch.randn(shape, generator=seeded(shape)), (torch.arange(9) % 2).float().reshape(shape)
    options: dict[str, Any] = {"weight": torch.tensor([2.0]), "pos_weight": torch.tensor([5.0])}
    found = ExpressionLoss("binary_cross_entropy", link="sigmoid", **options)(z, target)
    assert_close(found, nn.functional.binary_cross_entropy_with_logits(z, target, **options))


@pytest.mark.parametrize("name", ["mae", "brier", "baikal", "binary_cross_entropy"])
def test_pos_weight_multiplies_the_terms_of_positive_labels(name: str) -> None:
    z, target = torch.randn(8, 3, generator=seeded(name)), (torch.arange(24).reshape(8, 3) % 2).float()
    factors = torch.tensor([3.0, 0.5, 1.0])

    def term(k: int, **options: Any) -> Tensor:
        return ExpressionLoss(name, "none", link="sigmoid", **options)(z[:, k], target[:, k])

    expected = sum(term(k) * torch.where(target[:, k] == 1, factors[k], 1.0) for k in range(3))
    assert isinstance(expected, Tensor)
    assert_close(ExpressionLoss(name, "none", link="sigmoid", pos_weight=factors)(z, target), expected)


@pytest.mark.parametrize("name", ["brier", "baikal"])
def test_pos_weight_of_one_changes_nothing(name: str) -> None:
    z, target = torch.randn(8, 3, generator=seeded(name)), torch.rand(8, 3, generator=seeded("soft"))
    assert_close(
        ExpressionLoss(name, link="sigmoid", pos_weight=[1, 1, 1])(z, target),
        ExpressionLoss(name, link="sigmoid")(z, target),
    )


def test_weight_is_saved_and_moved_with_the_module() -> None:
    loss = ExpressionLoss("x*log(y)", weight=torch.tensor(WEIGHT))
    assert loss.to(torch.float64).weight is not None
    assert loss.state_dict()["weight"].dtype == torch.float64
    assert "x*log(y)" in repr(loss)


@pytest.mark.parametrize("link", list(Link))
@pytest.mark.parametrize("text", ["x*log(y)", "x*log(1 - y)"])
def test_can_be_pickled_and_copied(text: str, link: Link) -> None:
    """As `torch.save` of a whole training, or a process that is spawned, does."""
    loss = ExpressionLoss(text, link=link, weight=[1.0, 2.0])
    z, target = torch.tensor([[0.2, 0.7], [0.4, 0.6]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss)):  # noqa: S301 - our own bytes
        assert_close(other(z, target), loss(z, target))


@pytest.mark.parametrize("name", ["baikal", "mae", "sqrt_likelihood", "exp(x*y)/tanh(y)"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
def test_clamp_keeps_losses_of_extreme_logits_finite(name: str, link: str) -> None:
    z = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]])
    target = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    value, gradient = value_and_gradient(ExpressionLoss(name, link=link), z, target)
    assert bool(torch.isfinite(value).all())
    assert bool(torch.isfinite(gradient).all())
