"""Read CIFAR-10 in its two official formats, binary and Python, from an archive (.tar.gz) or an unpacked folder."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glo.errors import DataError
from glo.tasks.archive import read_members
from glo.tasks.data import DOWNLOAD_HINT, cache_dir, check_md5, download_archive, read_at_most
from glo.tasks.pickled import ByteArray, read_pickled

URL = "https://www.cs.toronto.edu/~kriz/"
SHAPE = (3, 32, 32)
RECORDS = 10_000  # in each file
CLASSES = 10
OPCODES = 20  # of a pickle for each record at most: its label and the name of its file


@dataclass(frozen=True)
class Format:
    """One of the official formats: the archive, the folder in it, the six files, and the function that reads one."""

    archive: str
    md5: str  # of the official archive
    folder: str
    train: tuple[str, ...]
    test: str
    largest: int  # the most bytes that a file may have
    read: Callable[[bytes, str], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


@dataclass(frozen=True)
class Images:
    """Images (N, 3, 32, 32) and labels (N) of both official splits, and the source of the files in words."""

    train: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    test: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    source: str


def read_binary(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and labels of a file of records: one byte for the label, 3,072 for the image."""
    size = 1 + math.prod(SHAPE)
    if len(content) != RECORDS * size:
        raise DataError(f"{name} is truncated or not a CIFAR-10 file: {len(content):,} bytes, not {RECORDS * size:,}")
    records = np.frombuffer(content, np.uint8).reshape(RECORDS, size)
    return _check_labels(records[:, 1:].reshape(RECORDS, *SHAPE), records[:, 0], name)


def read_python(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and labels of a pickled dictionary with b"data" (N, 3072) and b"labels"."""
    try:
        batch = read_pickled(content, OPCODES * RECORDS + 1000)
    except ValueError as error:
        raise DataError(f"{name} is truncated or not a CIFAR-10 file: {error}") from error
    data = _pickled_bytes(batch.get(b"data"), (RECORDS, math.prod(SHAPE)), f"{name} is not a CIFAR-10 file: its data")
    labels = _pickled_labels(batch.get(b"labels"), name)
    return _check_labels(data.reshape(RECORDS, *SHAPE), labels, name)


def _pickled_bytes(value: object, shape: tuple[int, ...], what: str) -> NDArray[np.uint8]:
    if not isinstance(value, ByteArray):
        raise DataError(f"{what} is {_described(value)}, not an array of unsigned bytes")
    if value.shape != shape or value.content is None:
        raise DataError(f"{what} is of shape {value.shape}, not {shape}")
    return np.frombuffer(value.content, np.uint8).reshape(shape, order="F" if value.fortran else "C")


def _pickled_labels(value: object, name: str) -> NDArray[np.uint8]:
    """Labels from a list of integers or an array of unsigned bytes.  Nothing is cast: 3.7, True and 259 are not labels."""
    if not isinstance(value, list):
        return _pickled_bytes(value, (RECORDS,), f"{name} is not a CIFAR-10 file: its list of labels")
    if len(value) != RECORDS:
        raise DataError(f"{name} is not a CIFAR-10 file: its list of labels is of shape ({len(value)},), not ({RECORDS},)")
    for number, label in enumerate(value):
        if type(label) is not int or not 0 <= label < CLASSES:
            wanted = f"not an integer from 0 to {CLASSES - 1}"
            raise DataError(f"{name} is damaged: its label {number} is {_described(label)}, {wanted}")
    return np.array(value, np.uint8)


def _described(value: object) -> str:
    return repr(value)[:40] if isinstance(value, int | float | None) else f"a {type(value).__name__}"


def _check_labels(
    images: NDArray[np.uint8], labels: NDArray[np.uint8], name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if labels.max() >= CLASSES:
        raise DataError(f"{name} is damaged: it has labels from {labels.min()} to {labels.max()}, not 0 to {CLASSES - 1}")
    return images, labels


FORMATS = (
    Format(
        "cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", "cifar-10-batches-bin",
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", 30_730_000, read_binary,
    ),
    Format(
        "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a", "cifar-10-batches-py",
        tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", 64_000_000, read_python,
    ),
)  # fmt: skip


def load_images(data_dir: str | Path | None = None) -> Images:
    """Load the images from `data_dir`, else from `$GLO_DATA`, else from the user's cache.

    In that folder or in its subfolder `cifar10`, the function looks for the folder or the archive of either format, or for
    the unpacked files themselves.  If the cache has none of them, the binary archive is downloaded into it.  An archive must
    be the official one; unpacked files are not compared with the official ones, and `source` says so.

    Raises:
        DataError: if a file is missing, truncated or altered, or cannot be downloaded; the message names the file.
    """
    given = data_dir or os.environ.get("GLO_DATA")
    root = Path(given).expanduser() if given else cache_dir()
    for form, path in _candidates(root):
        if path.is_dir() and (path / form.test).is_file():
            contents = {name: read_at_most(path / name, form.largest) for name in (*form.train, form.test)}
            return _assemble(form, contents, str(path), f"a folder {path.name}, whose files need not be the official ones")
        if path.is_file():
            return _read_archive(form, path)
    if given:
        names = " nor ".join(form.archive for form in FORMATS)
        raise DataError(f"neither {names} is in {root} or {root / 'cifar10'}: put one there, or {DOWNLOAD_HINT}")
    form = FORMATS[0]
    return _read_archive(form, download_archive(f"{URL}{form.archive}", cache_dir() / "cifar10" / form.archive, form.md5))


def _candidates(root: Path) -> Iterator[tuple[Format, Path]]:
    for form in FORMATS:
        for parent in (root / "cifar10", root):
            yield form, parent / form.folder
            yield form, parent / form.archive
            yield form, parent


def _read_archive(form: Format, path: Path) -> Images:
    try:
        check_md5(path, form.md5)
    except DataError as error:
        raise DataError(f"{error}, or unpack it if you trust it") from error
    contents = read_members(path, (*form.train, form.test), form.largest)
    return _assemble(form, contents, path.name, f"{path.name}, the official file")


def _assemble(form: Format, contents: Mapping[str, bytes], where: str, source: str) -> Images:
    """Read the six files.

    Args:
        contents: of each file, by name.
        where: the files are, for messages.
        source: of the files in words; it is published, so it has no path of this machine.
    """
    parts = [form.read(contents[name], f"{where}: {name}") for name in form.train]
    train = np.concatenate([images for images, _ in parts]), np.concatenate([labels for _, labels in parts])
    sha256 = hashlib.sha256(train[0].tobytes()).hexdigest()[:16]
    test = form.read(contents[form.test], f"{where}: {form.test}")
    return Images(train, test, f"{source}; sha256 of the training images {sha256}")
