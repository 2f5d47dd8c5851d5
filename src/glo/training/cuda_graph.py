"""A step of training as a CUDA graph: launched once, not as hundreds of small kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger("glo")
WARM_UP = 3  # calls before the capture, in which libraries choose kernels and allocate


class Replayed:
    """Makes a step, always the same one; on a GPU the first few as they are, then as a graph captured once.

    All that the step touches must stay where it is in memory, and what it does must not depend on anything but tensors.

    Args:
        device: where; on a CPU every step is made as it is.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        self._batch: Tensor | None = None
        self._captures = torch.device(device).type == "cuda"

    def __call__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        """Make the step with the indices of a batch."""
        if self._captures and self._calls == WARM_UP:
            self._capture(step, batch)
        self._calls += 1
        if self.graph is None or self._batch is None:
            step(batch)
        else:
            self._batch.copy_(batch)
            self.graph.replay()

    def _capture(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        """Record the kernels of one step without running them."""
        static, graph = batch.clone(), torch.cuda.CUDAGraph()
        try:
            torch.cuda.synchronize()
            with torch.cuda.graph(graph):
                step(static)
        except RuntimeError as error:
            logger.warning("the step cannot be captured, and is launched call by call: %s", str(error).splitlines()[0])
            self._captures = False
            return
        self.graph, self._batch = graph, static
