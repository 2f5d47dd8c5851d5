"""How much memory a population may take, and how many networks fit into it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training.measurement import EVALUATION_BATCH
from glo.training.optimizers import state_tensors

FREE_FRACTION = 0.5  # of the free memory; the rest is for other programs and for errors of the estimate in `chunk_size`
ASSUMED_FREE = 2 * 2**30  # bytes, on a system without /proc/meminfo


def budget(config: TrainingConfig, device: torch.device | str) -> int:
    """Bytes that a population may take on a device: `config.memory_mb`, or half of the memory that is free now."""
    if config.memory_mb is not None:
        return config.memory_mb * 2**20
    if torch.device(device).type == "cuda":
        return int(FREE_FRACTION * torch.cuda.mem_get_info(device)[0])
    return int(FREE_FRACTION * free_memory())


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can be allocated without swapping, within the limit of a container (Linux); elsewhere `ASSUMED_FREE`.

    Args:
        root: the folder of /proc and /sys.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return ASSUMED_FREE
    try:
        group = root / "sys/fs/cgroup"
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free
    return max(0, min(free, limit - used))


def chunk_size(model: nn.Module, task: Task, config: TrainingConfig, memory: int) -> int:
    """How many networks fit into so many bytes, at least 1.

    The estimate counts a network's parameters four times (with gradient, velocity and update) for SGD, and for another
    optimizer four times and once for each number it keeps; and the outputs of its modules three times (with gradients and
    intermediate results), with two numbers for each token of an `EmbeddingBag`: its row and its share.
    """
    per_sample = numbers_per_sample(model, task)
    evaluated = min(EVALUATION_BATCH, len(task.split("validation")))
    copies = 4 + (0 if config.optimizer == "sgd" else state_tensors(config))
    numbers = copies * _parameters(model) + per_sample * max(3 * config.batch_size, evaluated)
    return max(1, int(memory / (4 * numbers)))


def bytes_of_step(model: nn.Module, task: Task, batch_size: int) -> float:
    """The bytes of one network's parameters and of what its modules make of a batch, without gradients."""
    return 4 * (_parameters(model) + numbers_per_sample(model, task) * batch_size)


def numbers_per_sample(model: nn.Module, task: Task) -> float:
    """How many numbers the inputs of one sample are, and what the modules of a network make of them."""
    sizes: list[int] = []
    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [m.register_forward_hook(lambda m, i, output: sizes.append(_numbers(m, i, output))) for m in leaves]
    head = task.train.head.to(next((p.device for p in model.parameters()), "cpu"))
    was_training = model.training
    with torch.no_grad():
        sizes.append(model.eval()(head.inputs).numel())
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return sum(sizes) / len(head)


def _parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _numbers(module: nn.Module, inputs: object, output: object) -> int:
    """Numbers that a stacked module makes for one network."""
    return _numel(output) + (2 * _numel(inputs) if isinstance(module, nn.EmbeddingBag) else 0)


def _numel(output: object) -> int:
    """Numbers in all tensors of a module's inputs or output, which may be nested."""
    return sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
