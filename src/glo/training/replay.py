"""A step of training as a CUDA graph: launched once, not as hundreds of small kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger("glo")
WARM_UP = 3  # calls before the capture, in which libraries choose kernels and allocate


class Replayed:
    """Calls `work(batch)`; on a GPU the first few as they are, then as a graph captured once.

    All that `work` touches must stay where it is in memory, and what it does must not depend on anything but tensors.

    Args:
        work: what to do with a batch's indices.
        device: where; on a CPU every call is made as it is.
    """

    def __init__(self, work: Callable[[Tensor], None], device: torch.device | str) -> None:
        self._work, self._calls = work, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batch: Tensor | None = None
        self._captures = torch.device(device).type == "cuda"

    def __call__(self, batch: Tensor) -> None:
        if self._captures and self._calls == WARM_UP:
            self._capture(batch)
        self._calls += 1
        if self._graph is None or self._batch is None:
            self._work(batch)
        else:
            self._batch.copy_(batch)
            self._graph.replay()

    def _capture(self, batch: Tensor) -> None:
        """Record the calls of one step without making them."""
        static, graph = batch.clone(), torch.cuda.CUDAGraph()
        try:
            torch.cuda.synchronize()
            with torch.cuda.graph(graph):
                self._work(static)
        except RuntimeError as error:
            logger.warning("the step cannot be captured, and is launched call by call: %s", str(error).splitlines()[0])
            self._captures = False
            return
        self._graph, self._batch = graph, static
