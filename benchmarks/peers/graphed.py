"""One network at a time on a GPU, made fast as a skilled user would do it: the whole step is captured as a CUDA graph."""

from __future__ import annotations

import torch

from benchmarks.peers.plain import Work, loss_of, validation
from glo.tasks import Task

WARM_UP = 3  # steps before the capture


def train(task: Task, work: Work) -> float:
    """Train one network as `plain.train` does, on the GPU."""
    torch.manual_seed(work.seed)
    model, split = task.model().cuda(), task.split("train").to("cuda")
    loss = loss_of(work.loss, task.classes)
    optimizer = torch.optim.SGD(model.parameters(), work.learning_rate)
    batch = torch.zeros(work.batch_size, dtype=torch.int64, device="cuda")

    def run_step() -> None:
        optimizer.zero_grad()
        loss(model(split.inputs[batch]), split.targets[batch]).backward()
        optimizer.step()

    batches = _batches(len(split), work)
    graph, side_stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
    side_stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side_stream):
        for indices in batches[:WARM_UP]:
            batch.copy_(indices)
            run_step()
    torch.cuda.current_stream().wait_stream(side_stream)
    with torch.cuda.graph(graph):
        run_step()
    for indices in batches[WARM_UP:]:
        batch.copy_(indices)
        graph.replay()
    return validation(task, model)


def _batches(samples: int, work: Work) -> torch.Tensor:
    """Indices of all batches, shape (steps, batch size), on the GPU."""
    per_epoch = samples // work.batch_size
    epochs = [torch.randperm(samples)[: per_epoch * work.batch_size] for _ in range(-(-work.steps // per_epoch))]
    return torch.cat(epochs).reshape(-1, work.batch_size)[: work.steps].cuda()
