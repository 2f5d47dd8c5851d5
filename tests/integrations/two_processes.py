"""One of two processes of DDP: `two_processes.py RANK FOLDER` saves the gradients it has after a step to FOLDER/RANK.pt."""

import os
import sys
from pathlib import Path

os.environ["GLOO_SOCKET_IFNAME"] = "lo"

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from glo.loss import ExpressionLoss


class Model(nn.Module):
    def __init__(self, factors: list[float]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.loss = nn.Linear(4, 3), ExpressionLoss("baikal", reduction="sum", weight=factors)

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        return self.loss(self.layer(inputs), labels)


def gradients(model: nn.Module, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    model(inputs, labels).backward()
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


rank, folder = int(sys.argv[1]), Path(sys.argv[2])
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
inputs, labels = torch.randn(6, 4, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 1, 0, 2])
model = Model([1.0, 2.0, 0.5] if rank == 0 else [1.0, 1.0, 1.0])
# DDP takes the mean over processes: half of the sum over the whole batch.
alone = [gradient / 2 for gradient in gradients(Model([1.0, 2.0, 0.5]), inputs, labels)]
rows = slice(0, 2) if rank == 0 else slice(2, 6)  # batches of different sizes
found = gradients(DistributedDataParallel(model), inputs[rows], labels[rows])
torch.save({"ddp": found, "alone": alone, "weight": model.loss.weight}, folder / f"{rank}.pt")
torch.distributed.destroy_process_group()
