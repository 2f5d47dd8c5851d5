"""The chain of layers that the forward pass of a user's own model comes down to.

Most models are classes whose `forward` calls one layer after the other.  `torch.fx` traces that.  If each operation is a
layer of a chain, a population trains a `Sequential` of the model's own modules, with explicit passes
(`glo.training.stacked`), which are faster than vmap and autograd (docs/decisions/0010-stacked-layers.md).
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from glo.tasks import Inputs, random_state_restored
from glo.training.model import agree, as_logits
from glo.training.stacked import has_hooks, is_chain


def _flatten(start_dim: int = 0, end_dim: int = -1) -> nn.Module:
    return nn.Flatten(start_dim, end_dim)


def _max_pool(
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> nn.Module:
    return nn.MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode)


# What `forward` may call besides modules: the layer for the arguments after the first one.  Methods of tensors go by name.
FUNCTIONS: dict[Any, Callable[..., nn.Module]] = {
    **dict.fromkeys((functional.relu, torch.relu, torch.relu_, "relu", "relu_"), nn.ReLU),
    **dict.fromkeys((functional.tanh, torch.tanh, torch.tanh_, "tanh", "tanh_"), nn.Tanh),
    **dict.fromkeys((functional.sigmoid, torch.sigmoid, torch.sigmoid_, "sigmoid", "sigmoid_"), nn.Sigmoid),
    functional.leaky_relu: nn.LeakyReLU,
    functional.silu: nn.SiLU,
    functional.gelu: nn.GELU,
    functional.elu: nn.ELU,
    functional.softplus: nn.Softplus,
    functional.max_pool2d: _max_pool,
    **dict.fromkeys((torch.flatten, "flatten"), _flatten),
    "contiguous": nn.Identity,
}
RESHAPES = (torch.reshape, "reshape", "view")
MEANS = {torch.mean: "mean", "mean": "mean", torch.sum: "sum", "sum": "sum"}


@random_state_restored()
def as_chain(model: nn.Module, inputs: Inputs) -> nn.Module:
    """A `Sequential` of the model's own modules for which `is_chain` holds, if it does what the model does; else the model.

    Args:
        model: any model.
        inputs: a few samples, on which the outputs of both are compared.
    """
    modules = list(model.modules())
    if is_chain(model) or not isinstance(inputs, Tensor) or any(map(has_hooks, modules)):
        return model
    if any(type(module).train is not nn.Module.train for module in modules):  # it decides itself what is trained
        return model
    layers = _layers(model)
    chain = nn.Sequential(*layers or ())
    return chain if is_chain(chain) and _same_outputs(model, chain, inputs) else model


def _same_outputs(model: nn.Module, chain: nn.Module, inputs: Tensor) -> bool:
    """Whether both have the same outputs in evaluation; how they were before is restored."""
    was_training = model.training
    try:
        with torch.no_grad():
            return agree(*(as_logits(each.eval()(inputs)) for each in (chain, model)))
    except Exception:  # noqa: BLE001 - of the user's code, or of a chain that does not fit the inputs
        return False
    finally:
        model.train(was_training)
        chain.train(was_training)


def _layers(model: nn.Module) -> list[nn.Module] | None:
    """The layers of the forward pass, or None if it is something else; it must be the same in training and in evaluation."""
    found: list[list[nn.Module] | None] = []
    for training in (True, False):
        try:
            traced = copy.deepcopy(model).train(training)  # a forward pass may assign what it has computed to its module
            found.append(_chain(fx.Tracer().trace(traced), model, training))
        except Exception:  # noqa: BLE001 - `torch.fx` cannot follow it: the user's code sees placeholders in place of numbers
            return None
    first, second = found
    return first if first is not None and second is not None and _known(first, model) == _known(second, model) else None


def _known(layers: list[nn.Module], model: nn.Module) -> list[str | int]:
    """What tells layers apart: which module of the model, or else its text."""
    own = set(map(id, model.modules()))
    return [id(layer) if id(layer) in own else repr(layer) for layer in layers]


def _chain(graph: fx.Graph, model: nn.Module, training: bool) -> list[nn.Module] | None:
    """The layers of a graph, if each operation has the result of the one before as its first argument."""
    layers: list[nn.Module] = []
    counts: set[fx.Node] = set()  # nodes that are the number of samples, or the shape that begins with it
    last: fx.Node | None = None
    if any(not node.users for node in graph.nodes if node.op != "output"):
        return None  # the user's code does something else with that value
    for node in graph.nodes:
        if node.op == "placeholder" and last is None:
            last = node
        elif _counts_samples(node, counts):
            counts.add(node)
        elif not node.args or node.args[0] is not last:
            return None
        elif node.op != "output":
            layer = _layer(node, model, counts, layers, training)
            if layer is None:
                return None
            layers.append(layer)
            last = node
    return [layer for layer in layers if type(layer) is not nn.Identity]


def _counts_samples(node: fx.Node, counts: set[fx.Node]) -> bool:
    """Whether a node is the shape of a value, or the first number of one."""
    arguments = node.args[1:]
    if node.target == "size" or (node.target is getattr and arguments == ("shape",)):
        return arguments in ((), (0,), ("shape",))
    return node.target is operator.getitem and node.args[0] in counts and arguments == (0,)


def _layer(
    node: fx.Node, model: nn.Module, counts: set[fx.Node], before: list[nn.Module], training: bool
) -> nn.Module | None:
    """The layer that an operation is."""
    target, arguments, options = node.target, node.args[1:], node.kwargs
    if node.op == "call_module":
        module = model.get_submodule(str(target))
        return None if arguments or options else module
    if target in RESHAPES:
        sizes = arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple) else arguments
        flat = len(sizes) == 2 and (sizes[0] == -1 or sizes[0] in counts) and isinstance(sizes[1], int)
        return nn.Flatten() if flat else None  # whether the size is right shows in the outputs
    if target in MEANS and before and type(before[-1]) is nn.Embedding:
        return _bag(before.pop(), MEANS[target]) if (*arguments, *options.values()) == (1,) else None
    if target is functional.dropout:
        rate = options["p"]
        return nn.Dropout(rate) if isinstance(rate, int | float) and options["training"] is training else None
    if target in ("squeeze", torch.squeeze):  # of the one output, to a vector; anything else shows in the outputs
        return nn.Identity() if arguments in ((1,), (-1,)) else None
    return FUNCTIONS[target](*arguments, **options) if target in FUNCTIONS else None


def _bag(embedding: nn.Module, mode: str) -> nn.Module | None:
    """An `EmbeddingBag` with the same table; none for an embedding with padding, whose rows count in this mean."""
    if not isinstance(embedding, nn.Embedding) or embedding.padding_idx is not None or embedding.max_norm is not None:
        return None
    if embedding.scale_grad_by_freq or embedding.sparse:
        return None
    bag = nn.EmbeddingBag(embedding.num_embeddings, embedding.embedding_dim, mode=mode, device="meta")
    bag.weight = embedding.weight
    return bag
