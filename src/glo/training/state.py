"""State that a model's forward pass changes: networks that share one module can only share what stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType

import numpy as np
import torch
from torch import Tensor, nn

from glo.tasks import Inputs

Leaf = tuple[str, str, object, int]  # name of the module, attribute, value, number of in-place changes of a tensor
CONTAINERS = (dict, list, tuple, set, frozenset)
CODE = (type, FunctionType, MethodType, ModuleType)  # their attributes are not state


def assigned_in_forward(model: nn.Module, inputs: Inputs) -> tuple[str, str] | None:
    """The first attribute that a forward pass assigns, in training or in evaluation: (name of its module, attribute).

    In-place changes of parameters and buffers do not count, since each network has its own.  All other attributes
    do: numbers, containers, and tensors and modules that are not registered.  The model is changed as it changes itself.
    """
    for training in (True, False):
        model.train(training)
        before = list(_leaves(model))
        with torch.no_grad():
            model(inputs)
        after = list(_leaves(model))
        for old, new in zip(before, after, strict=False):
            if not _same(old, new):
                return new[:2]
        if len(before) != len(after):
            return max(before, after, key=len)[min(len(before), len(after))][:2]
    return None


def _same(old: Leaf, new: Leaf) -> bool:
    """Whether a leaf is still there, and is the same object or an equal number or text."""
    (old_module, old_attribute, old_value, old_version), (module, attribute, value, version) = old, new
    if (old_module, old_attribute, old_version) != (module, attribute, version) or type(old_value) is not type(value):
        return False
    return old_value is value or (isinstance(value, int | float | complex | str | bytes) and old_value == value)


def _leaves(model: nn.Module) -> Iterator[Leaf]:
    """All that the attributes of all modules hold, containers and objects flattened."""
    seen = {id(module) for module in model.modules()}
    for name, module in model.named_modules():
        registered: dict[str, object] = {**module._parameters, **module._buffers, **module._modules}
        yield from ((name, attribute, value, 0) for attribute, value in registered.items())
        for attribute, value in vars(module).items():
            if attribute not in ("_parameters", "_buffers", "_modules", "training"):
                yield from ((name, attribute, leaf, version) for leaf, version in _flatten(value, seen))


def _flatten(value: object, seen: set[int]) -> Iterator[tuple[object, int]]:
    """The values in a container or an object, in order; each object once, so that references in a circle end."""
    if isinstance(value, Tensor):
        yield value, value._version  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(value, np.ndarray):
        yield value.tobytes(), 0
    elif isinstance(value, CONTAINERS) or (hasattr(value, "__dict__") and not isinstance(value, CODE)):
        yield value, 0
        if id(value) not in seen:
            seen.add(id(value))
            yield from (leaf for part in _parts(value) for leaf in _flatten(part, seen))
    else:
        yield value, 0


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return [part for item in value.items() for part in item]
    return value if isinstance(value, list | tuple | set | frozenset) else list(vars(value).values())
