"""How many networks are trained together: as many as fit into memory, and on a CPU no more than its cache is good for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves

from glo.records import TrainingConfig
from glo.tasks import Inputs, Task
from glo.tasks.inputs import tensors_of
from glo.training.measurement import EVALUATION_BATCH
from glo.training.model import as_logits
from glo.training.optimizers import state_tensors
from glo.training.stacked import is_chain

Found = TypeVar("Found")
# Networks for each thread of a CPU: more do not stay in its cache (docs/decisions/0031-chunks-of-networks.md).
PER_THREAD = 80
OUTPUT_NUMBERS = 20  # that the losses of a population keep for each output: their register, and what goes into it
LIBRARY = 4 * 2**20  # bytes that oneDNN keeps: the code of its products, and their buffers
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


def chunk_sizes(networks: int, fitting: int, device: torch.device | str) -> list[int]:
    """How many networks to train together, one chunk after the other, in chunks of about the same size.

    Args:
        networks: all of them.
        fitting: how many fit into memory (`chunk_size`).
        device: on a CPU, a chunk has at most `PER_THREAD` for each thread.
    """
    most = min(fitting, PER_THREAD * torch.get_num_threads()) if torch.device(device).type == "cpu" else fitting
    chunks = -(-networks // most)
    return [networks * (i + 1) // chunks - networks * i // chunks for i in range(chunks)]


def chunk_size(model: nn.Module, task: Task, config: TrainingConfig, memory: int) -> int:
    """How many networks fit into so many bytes, at least 1.

    The estimate for a network counts its parameters twice (with the gradient) and once for each number that the optimizer
    keeps; what autograd would keep of a batch three times (with gradients and intermediate results), or of an evaluation
    twice, whichever is more, and half as much again by `torch.func`; and the outputs of a batch `OUTPUT_NUMBERS` times, for
    the losses.  `LIBRARY` bytes are for none of them.
    """
    kept, outputs = (size / len(task.train.head) for size in _in_evaluation(model, task, partial(_kept_bytes, model)))
    evaluated = min(EVALUATION_BATCH, len(task.split("validation")))
    samples = max(3 * config.batch_size, 2 * evaluated) * (1.0 if is_chain(model) else 1.5)
    copies = 2 + state_tensors(config)
    needed = copies * _parameter_bytes(model) + kept * samples + outputs * config.batch_size * OUTPUT_NUMBERS
    return max(1, int((memory - LIBRARY) / needed))


def bytes_of_step(model: nn.Module, task: Task, batch_size: int) -> float:
    """The bytes of one network's parameters and of what its modules return for a batch."""
    sizes: list[int] = []

    def count(module: nn.Module, inputs: object, output: object) -> None:
        sizes.extend(leaf.nbytes for leaf in tree_leaves(output) if isinstance(leaf, Tensor))

    hooks = [module.register_forward_hook(count) for module in model.modules() if not list(module.children())]
    _in_evaluation(model, task, model)
    for hook in hooks:
        hook.remove()
    return _parameter_bytes(model) + sum(sizes) / len(task.train.head) * batch_size


def _parameter_bytes(model: nn.Module) -> int:
    return sum(parameter.nbytes for parameter in model.parameters())


def _in_evaluation(model: nn.Module, task: Task, call: Callable[[Inputs], Found]) -> Found:
    """What `call` returns for a few samples while the model is in evaluation mode."""
    head = task.train.head.to(next((p.device for p in model.parameters()), "cpu"))
    was_training = model.training
    model.eval()
    found = call(head.inputs)
    model.train(was_training)
    return found


def _kept_bytes(model: nn.Module, inputs: Inputs) -> tuple[int, int]:
    """The bytes of everything that autograd keeps of a forward pass, and those of the outputs, which are a part of it.

    The inputs, which all networks share, and the model's own tensors do not count.
    """
    kept: dict[int, int] = {}  # bytes, by the address of the storage

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = as_logits(model(inputs))
    keep(outputs)
    for tensor in (*tensors_of(inputs), *model.parameters(), *model.buffers()):
        kept.pop(tensor.untyped_storage().data_ptr(), None)
    return sum(kept.values()), outputs.nbytes
