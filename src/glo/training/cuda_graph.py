"""Capture a training step as a CUDA graph: one launch instead of hundreds of small kernels."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

logger = logging.getLogger("glo")
WARM_UP = 3  # steps before the capture, in which libraries choose kernels and allocate memory


class CapturedStep:
    """Runs one step again and again: the first few times as it is, then, on a GPU, as a captured CUDA graph.

    All tensors that the step uses must keep their place in memory, and only their values may change what it does.

    Args:
        device: the device of the tensors; on a CPU nothing is captured.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.graph: torch.cuda.CUDAGraph | None = None
        self._calls = 0
        self._graph_batch: Tensor | None = None  # the graph reads its batch from here
        self._captures = torch.device(device).type == "cuda"

    def __call__(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        """Run the step on a batch, given as indices of samples."""
        if self._captures and self._calls == WARM_UP:
            self._capture(step, batch)
        self._calls += 1
        if self.graph is None or self._graph_batch is None:
            step(batch)
        else:
            self._graph_batch.copy_(batch)
            self.graph.replay()

    def _capture(self, step: Callable[[Tensor], None], batch: Tensor) -> None:
        """Record the kernels of one step without running them."""
        graph_batch, graph = batch.clone(), torch.cuda.CUDAGraph()
        try:
            torch.cuda.synchronize()
            with torch.cuda.graph(graph):
                step(graph_batch)
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            logger.warning("the training step cannot be captured as a CUDA graph, so it runs kernel by kernel: %s", reason)
            self._captures = False
            return
        self.graph, self._graph_batch = graph, graph_batch
