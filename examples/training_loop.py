"""A loss in your own training loop: `ExpressionLoss` takes the place of `nn.CrossEntropyLoss`."""

import torch
from sklearn.datasets import load_digits
from torch import nn

import glo

images, labels = (torch.tensor(array) for array in load_digits(return_X_y=True))
images = images.float() / 16
torch.manual_seed(0)
wrong = torch.rand(1000) < 0.4  # of the training labels, 40 % are replaced by random ones
noisy = torch.where(wrong, torch.randint(10, (1000,)), labels[:1000])

for criterion, rate in ((nn.CrossEntropyLoss(), 0.3), (glo.ExpressionLoss("noisy_digits"), 1.0)):
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(500):
        batch = torch.randint(1000, (100,))
        optimizer.zero_grad()
        criterion(model(images[batch]), noisy[batch]).backward()
        optimizer.step()
    accuracy = (model(images[1000:]).argmax(1) == labels[1000:]).double().mean()
    print(f"{criterion}: test accuracy {accuracy:.3f}")
