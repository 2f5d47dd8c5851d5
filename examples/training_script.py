"""The loss as a flag: `--loss baikal`, `--loss "log(y) - x/y" --amp --compile`, `torchrun --nproc-per-node 2 ...`."""

import argparse

import torch
from sklearn.datasets import load_digits
from torch import distributed, nn

import glo

parser = argparse.ArgumentParser()
parser.add_argument("--loss", default="x*log(y)")
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--amp", action="store_true")
parser.add_argument("--compile", action="store_true")
flags = parser.parse_args()
images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images, rank, ranks = images.float() / 16, 0, 1
torch.manual_seed(0)
model, criterion = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), glo.ExpressionLoss(flags.loss)
if distributed.is_torchelastic_launched():
    distributed.init_process_group("gloo")
    model, rank, ranks = nn.parallel.DistributedDataParallel(model), distributed.get_rank(), distributed.get_world_size()
optimizer, loss_of = torch.optim.SGD(model.parameters(), flags.lr), torch.compile(criterion, disable=not flags.compile)
for _ in range(300):
    batch = torch.randint(1000, (100,))[rank::ranks]
    with torch.autocast("cpu", torch.bfloat16, enabled=flags.amp):
        loss = loss_of(model(images[batch]), labels[batch])
    optimizer.zero_grad(), loss.backward(), optimizer.step()
if rank == 0:
    accuracy = (model(images[1000:]).argmax(1) == labels[1000:]).double().mean()
    print(f"{criterion}: last loss {loss.item():.4f}, test accuracy {accuracy:.3f}")
