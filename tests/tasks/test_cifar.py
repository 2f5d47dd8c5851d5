"""CIFAR-10: both formats give the same images, packed or not; errors name bad files; and the augmentation."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.func import functional_call, vmap

from glo.errors import DataError
from glo.tasks import cifar, load_task
from glo.tasks.builtin import cifar10
from glo.tasks.cifar import FORMATS, load_images
from glo.tasks.models import Augmentation, LocalResponseNorm, paper_cifar_cnn

RECORDS = 20
BINARY, PYTHON = FORMATS


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of 20 images instead of 10,000, and no folder in the environment."""
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)
    monkeypatch.setattr(cifar10, "TRAIN", 80)
    monkeypatch.delenv("GLO_DATA", raising=False)


def draw(number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The images and labels of one file."""
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (RECORDS, 3, 32, 32), dtype=np.uint8), rng.permutation(RECORDS).astype(np.uint8) % 10


def contents(form: cifar.Format) -> dict[str, bytes]:
    """The six files in a format."""
    found: dict[str, bytes] = {}
    for number, name in enumerate((*form.train, form.test)):
        images, labels = draw(number)
        flat = images.reshape(RECORDS, -1)
        if form is BINARY:
            found[name] = np.concatenate([labels[:, None], flat], axis=1).tobytes()
        else:
            found[name] = pickle.dumps({b"data": flat, b"labels": labels.tolist(), b"batch_label": b"one"}, protocol=2)
    return found


def folder(form: cifar.Format, root: Path, **changed: bytes) -> Path:
    """The files in their folder, some with other content."""
    path = root / form.folder
    path.mkdir(parents=True)
    for name, content in (contents(form) | changed).items():
        (path / name).write_bytes(content)
    return path


def archive(form: cifar.Format, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files in their archive, whose md5 is made the official one."""
    path = root / form.archive
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents(form).items():
            member = tarfile.TarInfo(f"{form.folder}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    md5 = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    monkeypatch.setattr(cifar, "FORMATS", tuple(replace(f, md5=md5) if f is form else f for f in FORMATS))
    return path


def assert_whole(images: cifar.Images) -> None:
    pixels, labels = (np.concatenate(parts) for parts in zip(*map(draw, range(5)), strict=True))
    np.testing.assert_array_equal(images.train[0], pixels)
    np.testing.assert_array_equal(images.train[1], labels)
    np.testing.assert_array_equal(images.test[0], draw(5)[0])
    np.testing.assert_array_equal(images.test[1], draw(5)[1])


@pytest.mark.parametrize("form", FORMATS, ids=["binary", "python"])
def test_folders(form: cifar.Format, tmp_path: Path) -> None:
    path = folder(form, tmp_path)
    for root in (tmp_path, path):
        images = load_images(root)
        assert_whole(images)
        assert images.source.startswith(
            f"a folder {path.name}, whose files need not be the official ones; sha256 of the training"
        )
    again = load_images(folder(form, tmp_path / "cifar10").parent.parent)
    assert again.source.split("images ")[1] == images.source.split("images ")[1]


@pytest.mark.parametrize("form", FORMATS, ids=["binary", "python"])
def test_archives(form: cifar.Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(form, tmp_path, monkeypatch)
    images = load_images(tmp_path)
    assert_whole(images)
    assert images.source.startswith(f"{path.name}, the official file; sha256 of the training images ")


def test_the_environment_and_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(BINARY, tmp_path)
    monkeypatch.setenv("GLO_DATA", str(tmp_path))
    task = load_task("cifar10")
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [80, 20, 20]
    assert task.classes == 10
    assert "cifar-10-batches-bin" in task.description
    assert str(tmp_path) not in task.description  # the description is published
    inputs = task.split("train").inputs
    assert (float(inputs.min()), float(inputs.max())) == (0, 1)
    np.testing.assert_allclose(inputs[:20].numpy() * 255, draw(0)[0], atol=1e-4)


class Spy:
    """An object that would run code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("1/0",))


BAD = {
    "truncated": (BINARY, {"data_batch_2.bin": b"\x01" * 100}, "data_batch_2.bin is truncated"),
    "label": (
        BINARY,
        {"test_batch.bin": b"\x0a" * (RECORDS * 3073)},
        "test_batch.bin is damaged: it has labels from 10 to 10, not 0 to 9",
    ),
    "pickle cut short": (PYTHON, {"data_batch_3": contents(PYTHON)["data_batch_3"][:500]}, "data_batch_3 is truncated"),
    "no batch": (
        PYTHON,
        {"data_batch_1": pickle.dumps({b"data": np.zeros((3, 4), np.uint8), b"labels": [1]}, protocol=2)},
        "of shape",
    ),
    "no pickle": (PYTHON, {"test_batch": b"hello"}, "test_batch is truncated"),
    "code": (PYTHON, {"test_batch": pickle.dumps(Spy())}, "eval"),
    "negative label": (
        PYTHON,
        {"test_batch": pickle.dumps({b"data": np.zeros((RECORDS, 3072), np.uint8), b"labels": [-1] * RECORDS}, 2)},
        "test_batch is damaged",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_the_error_names_a_bad_file(name: str, tmp_path: Path) -> None:
    form, changed, message = BAD[name]
    folder(form, tmp_path, **changed)
    with pytest.raises(DataError, match=message):
        load_images(tmp_path)


def test_the_error_names_a_missing_file(tmp_path: Path) -> None:
    (folder(BINARY, tmp_path) / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"data_batch_4\.bin cannot be read"):
        load_images(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz nor cifar-10-python\.tar\.gz is in"):
        load_images(tmp_path)


@pytest.mark.parametrize("cut", [0, 100, -50])
def test_an_archive_other_than_the_official_one_is_refused(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archive(BINARY, tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=rf"{path.name} is not the official file: its md5 is"):
        load_images(tmp_path)


def test_a_wrong_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / BINARY.archive).write_bytes(b"not the file")
    monkeypatch.setattr(cifar, "URL", f"{made.as_uri()}/")
    monkeypatch.setattr(cifar, "cache_dir", lambda: tmp_path / "cache")
    with pytest.raises(DataError, match=BINARY.archive):
        load_images()
    assert not list((tmp_path / "cache").rglob("*.gz"))


# Augmentation


def images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def standardised(image: torch.Tensor) -> torch.Tensor:
    return (image - image.mean()) / image.std(correction=0)


def test_evaluation_uses_the_standardised_middle() -> None:
    found = Augmentation(24).eval()(images())
    expected = torch.stack([standardised(image[:, 4:28, 4:28]) for image in images()])
    torch.testing.assert_close(found, expected)


def test_training_uses_crops_mirrored_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without changes of brightness and contrast, each image is one of 81 crops or its mirror image, and many occur."""
    monkeypatch.setattr(Augmentation, "BRIGHTNESS", 0.0)
    monkeypatch.setattr(Augmentation, "CONTRAST", (1.0, 1.0))
    torch.manual_seed(3)
    image = images(1)
    seen = Augmentation(24)(image.expand(200, 3, 32, 32))
    crops = [image[0, :, top : top + 24, left : left + 24] for top in range(9) for left in range(9)]
    known = torch.stack([standardised(c) for crop in crops for c in (crop, crop.flip(-1))])
    distances = (seen[:, None] - known[None]).abs().amax((2, 3, 4))
    assert float(distances.min(1).values.max()) < 1e-4
    which = distances.argmin(1)
    assert len(which.unique()) > 100  # of 162 equally likely ones, 115 are expected in 200 draws (sd 4)
    assert 60 < int((which % 2).sum()) < 140  # false alarm: 2e-8


def test_augmented_images_are_standardised() -> None:
    """Also after changes of brightness and contrast."""
    torch.manual_seed(0)
    seen = Augmentation(24)(images(50))
    torch.testing.assert_close(seen.mean((1, 2, 3)), torch.zeros(50), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.std((1, 2, 3), correction=0), torch.ones(50), atol=1e-4, rtol=0)


def test_augmentation_is_seeded_and_finite() -> None:
    layer = Augmentation(24)
    runs: list[torch.Tensor] = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(layer(images()))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert bool(layer(torch.full((2, 3, 32, 32), 0.3)).isfinite().all())


def test_stacked_networks_get_the_same_images() -> None:
    model = paper_cifar_cnn()
    parameters = {name: torch.stack([p.detach(), 2 * p.detach()]) for name, p in model.named_parameters()}
    torch.manual_seed(5)
    stacked = vmap(lambda p: functional_call(model, p, (images(),)), randomness="same")(parameters)
    torch.manual_seed(5)
    assert stacked.shape == (2, 6, 10)
    torch.testing.assert_close(stacked[0], model(images()), rtol=1e-3, atol=1e-4)


def test_the_network_is_the_papers() -> None:
    """Weights and biases of section IV.A.2: two convolutions of 64 filters, 384, 192 and 10 units."""
    sizes = [p.numel() for p in paper_cifar_cnn().parameters()]
    assert sizes == [4800, 64, 102400, 64, 884736, 384, 73728, 192, 1920, 10]


def test_normalisation_between_channels_is_pytorchs() -> None:
    values = torch.randn(2, 12, 5, 5)
    ours = LocalResponseNorm(12, 9, alpha=0.3 / 9, beta=0.75, k=1)
    torch.testing.assert_close(ours(values), torch.nn.LocalResponseNorm(9, alpha=0.3, beta=0.75, k=1)(values))
