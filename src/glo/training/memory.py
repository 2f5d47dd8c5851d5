"""How much memory a population may take."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from glo.records import TrainingConfig
from glo.tasks import Task
from glo.training.steps import EVALUATION_BATCH

PART = 0.5  # of what is free; the rest is for what the estimate of a network leaves out, and for others
UNKNOWN = 2 * 2**30  # bytes, where a system does not say


def budget(config: TrainingConfig, device: torch.device | str) -> int:
    """Bytes that populations may take on a device: `config.memory_mb`, or half of what is free now."""
    if config.memory_mb is not None:
        return config.memory_mb * 2**20
    if torch.device(device).type == "cuda":
        return int(PART * torch.cuda.mem_get_info(device)[0])
    return int(PART * free_memory())


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that can be had without swapping, with the limit of a container (Linux); else a modest guess.

    Args:
        root: where /proc and /sys are.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        free = 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return UNKNOWN
    try:
        group = root / "sys/fs/cgroup"
        limit, used = (int((group / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no control group, or one without a limit ("max")
        return free
    return max(0, min(free, limit - used))


def chunk_size(model: nn.Module, task: Task, config: TrainingConfig, memory: int) -> int:
    """How many networks fit into so many bytes, at least 1.

    A network takes its parameters four times (with gradient, velocity and update) and the outputs of its modules three
    times (with gradients and intermediate results).
    """
    sizes: list[int] = []
    leaves = [module for module in model.modules() if not list(module.children())]
    hooks = [m.register_forward_hook(lambda m, i, output: sizes.append(_numel(output))) for m in leaves]
    samples = task.split("train").inputs[:2].to(next((p.device for p in model.parameters()), "cpu"))
    was_training = model.training
    with torch.no_grad():
        sizes.append(model.eval()(samples).numel())
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    evaluated = min(EVALUATION_BATCH, len(task.split("validation")))
    per_sample = sum(sizes) / len(samples)
    weights = sum(parameter.numel() for parameter in model.parameters())
    numbers = 4 * weights + per_sample * max(3 * config.batch_size, evaluated)
    return max(1, int(memory / (4 * numbers)))


def _numel(output: object) -> int:
    """Numbers in whatever a module returns."""
    return sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))
