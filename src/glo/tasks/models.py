"""Networks of the built-in tasks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """One hidden layer of ReLU units: (N, inputs) -> (N, outputs)."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def paper_mnist_cnn() -> nn.Module:
    """The paper's MNIST network (section IV.A.1): (N, 1, 28, 28) -> (N, 10).

    It pads to the same size, as the TensorFlow network does that the description matches, so 7*7*64 features reach the 1024
    units.
    """
    return nn.Sequential(
        nn.Conv2d(1, 32, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 1024),
        nn.ReLU(),
        nn.Dropout(0.4),
        nn.Linear(1024, 10),
    )


class Augmentation(nn.Module):
    """Augments and standardises images for the paper's CIFAR-10 network (section IV.A.2), a batch at a time.

    In training, each image is cropped, mirrored, brightened and given another contrast, all at random; in evaluation, the
    middle is cropped.  Then each image is standardised by its own mean and standard deviation.  The random numbers come from
    PyTorch's global generator, as those of dropout do.  The paper does not give the ranges of brightness and contrast; these
    are taken from the TensorFlow tutorial that it follows.

    Args:
        size: of the crop, a square.
    """

    BRIGHTNESS = 63 / 255
    CONTRAST = (0.2, 1.8)

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W), from 0 to 1 -> (N, C, size, size)."""
        images = self._augment(images) if self.training else self._crop_middle(images)
        least = 1 / math.sqrt(images[0].numel())  # do not divide an image of one colour by 0
        mean = images.mean((1, 2, 3), keepdim=True)
        deviation = (images - mean).square().mean((1, 2, 3), keepdim=True).sqrt()
        return (images - mean) / deviation.clamp_min(least)

    def _crop_middle(self, images: Tensor) -> Tensor:
        top, left = ((length - self.size) // 2 for length in images.shape[2:])
        return images[:, :, top : top + self.size, left : left + self.size]

    def _augment(self, images: Tensor) -> Tensor:
        count, device = len(images), images.device
        crops = torch.arange(self.size, device=device)
        rows, columns = (
            torch.randint(length - self.size + 1, (count, 1), device=device) + crops for length in images.shape[2:]
        )
        mirrored = torch.rand(count, 1, device=device) < 0.5
        columns = torch.where(mirrored, columns.flip(1), columns)
        samples = torch.arange(count, device=device)[:, None, None]
        images = images[samples, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        brightness = (2 * torch.rand(count, 1, 1, 1, device=device) - 1) * self.BRIGHTNESS
        low, high = self.CONTRAST
        contrast = low + (high - low) * torch.rand(count, 1, 1, 1, device=device)
        images = images + brightness
        mean = images.mean((2, 3), keepdim=True)
        return (images - mean) * contrast + mean


class LocalResponseNorm(nn.Module):
    """Local response normalisation across channels: (N, C, H, W) -> (N, C, H, W).

    It computes the same as `nn.LocalResponseNorm` with an odd size.  PyTorch's module uses a 3D pooling, which takes as long
    on a CPU as the rest of the paper's CIFAR-10 network; a product with a banded matrix takes a quarter of that.

    Args:
        channels: C.
        size: number of neighbouring channels, including the channel itself; odd.
        alpha: weight of the sum of their squares (as in TensorFlow; PyTorch divides it by the size).
        beta: exponent.
        k: constant added to the weighted sum.
    """

    band: Tensor

    def __init__(self, channels: int, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.beta, self.k = beta, k
        number = torch.arange(channels)
        near = (number[:, None] - number).abs() <= size // 2
        self.register_buffer("band", alpha * near.float()[:, :, None, None], persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return values * (self.k + conv2d(values.square(), self.band)) ** -self.beta


def paper_cifar_cnn() -> nn.Module:
    """The paper's CIFAR-10 network (section IV.A.2): (N, 3, 32, 32), from 0 to 1 -> (N, 10)."""
    return nn.Sequential(
        Augmentation(24),
        nn.Conv2d(3, 64, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, padding=1),
        LocalResponseNorm(64, 9, alpha=0.001 / 9, beta=0.75, k=1),
        nn.Conv2d(64, 64, 5, padding=2),
        nn.ReLU(),
        LocalResponseNorm(64, 9, alpha=0.001 / 9, beta=0.75, k=1),
        nn.MaxPool2d(3, 2, padding=1),
        nn.Flatten(),
        nn.Linear(6 * 6 * 64, 384),
        nn.ReLU(),
        nn.Linear(384, 192),
        nn.Linear(192, 10),
    )
