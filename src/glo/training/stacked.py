"""The stacked model: one function for the outputs of many networks of one architecture.

Any model is vectorised by `torch.func.vmap`.  A plain chain of linear layers and activations, the usual small network, is
written out instead, with features before samples: the first layer of all networks is then one large matrix product, and
the outputs lie as the losses want them (docs/decisions/0010-stacked-layers.md).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from glo.training.plan import as_matrix

Tensors = dict[str, Tensor]
# forward(parameters, buffers, inputs) -> outputs (P, N, C); parameters and buffers have P first
Forward = Callable[[Tensors, Tensors, Tensor], Tensor]
ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU, nn.Softplus, nn.Identity)


def stack(model: nn.Module) -> Forward:
    """Outputs (P, N, C) of P networks on the same inputs (N, ...), with the same dropout masks."""
    return _chain(model) if is_chain(model) else _vectorised(model)


def is_chain(model: nn.Module) -> bool:
    """Whether a model is linear layers with activations between them, and nothing else; flattening may come first."""
    layers = list(model) if type(model) is nn.Sequential else []
    if layers and type(layers[0]) is nn.Flatten and (layers[0].start_dim, layers[0].end_dim) == (1, -1):
        layers = layers[1:]
    linear = [type(layer) is nn.Linear for layer in layers]
    hooks = any(m._forward_hooks or m._forward_pre_hooks or m._parameters.keys() - {"weight", "bias"} for m in layers)
    known = all(is_linear or type(layer) in ELEMENTWISE for is_linear, layer in zip(linear, layers, strict=True))
    return bool(layers) and linear[0] and known and not hooks


def _chain(model: nn.Module) -> Forward:
    def forward(parameters: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
        values: Tensor | None = None  # (P, features, N)
        for name, layer in model.named_children():
            if not isinstance(layer, nn.Linear):
                values = None if values is None else layer(values)
                continue
            weight = parameters[f"{name}.weight"]
            networks, features, _ = weight.shape
            bias = parameters[f"{name}.bias"].unsqueeze(2) if layer.bias is not None else weight.new_zeros(1, 1, 1)
            if values is None:  # the inputs are the same for all networks
                columns = inputs.flatten(1).T
                flat = torch.addmm(bias.expand(networks, features, 1).reshape(-1, 1), weight.flatten(0, 1), columns)
                values = flat.unflatten(0, (networks, features))
            else:
                values = torch.baddbmm(bias, weight, values)
        assert values is not None  # noqa: S101 - a chain has a linear layer
        return values.transpose(1, 2)

    return forward


def _vectorised(model: nn.Module) -> Forward:
    def forward(parameters: Tensors, buffers: Tensors, inputs: Tensor) -> Tensor:
        def one(parameters: Tensors, buffers: Tensors) -> Tensor:
            return as_matrix(functional_call(model, (parameters, buffers), (inputs,)))

        return vmap(one, randomness="same")(parameters, buffers)

    return forward
