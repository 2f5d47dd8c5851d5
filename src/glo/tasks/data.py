"""Data files: find or download them, check their content, and read the idx format.

A file is not trusted until its hash is checked, so no more of it is read, or decompressed, than the official file has.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import platformdirs
import pooch
import requests
from numpy.typing import NDArray

from glo.errors import DataError

Checked = TypeVar("Checked")
MAX_DIMENSIONS = 4  # of an idx file
DOWNLOAD_HINT = "give no folder (--data-dir, $GLO_DATA) and it is downloaded"


def find_file(folder: str, name: str, sha256: str, largest: int, base_url: str, data_dir: str | Path | None = None) -> bytes:
    """The checked content of a data file, which is downloaded if no folder is given.

    The file is `folder/name` or `name`, gzipped (name.gz) or not, in `data_dir`, else in `$GLO_DATA`, else in the user's
    cache.  If neither folder is given and the cache does not have the file, it is downloaded into the cache.

    Args:
        folder: a folder for the data set, which may hold the file.
        name: of the file, without .gz.
        sha256: of its content.
        largest: the most bytes that the content may have; a file with more is not unpacked any further.
        base_url: where to download it.
        data_dir: a folder that is given by the user.

    Raises:
        DataError: if the file is missing, truncated or altered, or cannot be downloaded; the message names it.
    """
    given = data_dir or os.environ.get("GLO_DATA")
    root = Path(given).expanduser() if given else cache_dir()
    for path in _candidates(root, folder, name):
        if path.is_file():
            return read_checked(path, sha256, largest)
    if given:
        raise DataError(f"{name}.gz is neither in {root / folder} nor in {root}: put it there, or {DOWNLOAD_HINT}")
    return download(f"{base_url}{name}.gz", cache_dir() / folder / f"{name}.gz", sha256, largest)


def cache_dir() -> Path:
    """The folder for downloaded files."""
    return Path(platformdirs.user_cache_dir("glo"))


def _candidates(root: Path, folder: str, name: str) -> Iterator[Path]:
    for parent in (root / folder, root):
        yield parent / f"{name}.gz"
        yield parent / name


def read_checked(path: Path, sha256: str, largest: int) -> bytes:
    """The content of a file, decompressed if its name ends in .gz.

    Raises:
        DataError: if it cannot be read, or its content has another sha256 or more than `largest` bytes.
    """
    content = read_at_most(path, largest)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} has been altered: the sha256 of its content is {found[:16]}..., not {sha256[:16]}...; "
            "delete it and try again"
        )
    return content


def read_at_most(path: Path, largest: int) -> bytes:
    """The content of a file, decompressed if its name ends in .gz; no more than `largest` bytes are held in memory.

    Raises:
        DataError: if it cannot be read, or has more bytes.
    """
    zipped = path.suffix == ".gz"
    try:
        with gzip.open(path) if zipped else path.open("rb") as file:
            content = file.read(largest + 1)  # to read beyond the last byte also compares gzip's checksum
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): it is truncated or damaged; delete it and try again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if len(content) > largest:
        verb = "unpacks to" if zipped else "has"
        raise DataError(f"{path} is not the official file: it {verb} more than {largest:,} bytes")
    return content


def download(url: str, target: Path, sha256: str, largest: int) -> bytes:
    """Download a file and return its checked content; a broken download leaves nothing behind."""
    return _fetch(url, target, lambda path: read_checked(path, sha256, largest))


def download_archive(url: str, target: Path, md5: str) -> Path:
    """Download an archive and check its published md5, unless it is there already."""
    if not target.is_file():
        _fetch(url, target, lambda path: check_md5(path, md5))
    return target


def check_md5(path: Path, md5: str) -> None:
    """Compare a file with its published md5.

    Raises:
        DataError: if they differ, or the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    if found != md5:
        raise DataError(f"{path} is not the official file: its md5 is {found}, not {md5}; delete it and try again")


def _fetch(url: str, target: Path, check: Callable[[Path], Checked]) -> Checked:
    """Download a file, check it, and only then put it in place; return the result of the check."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            path = Path(pooch.retrieve(url, known_hash=None, fname=target.name, path=folder, progressbar=True))
            checked = check(path)
            path.replace(target)
    except DataError as error:
        raise DataError(f"{url}: {error}") from error
    except (OSError, requests.RequestException, ValueError) as error:
        raise DataError(
            f"{url} cannot be downloaded ({error}): download it by hand and give its folder with --data-dir or $GLO_DATA"
        ) from error
    return checked


def read_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """An array of unsigned bytes in idx format (the format of the MNIST files).

    Raises:
        DataError: if the content is in another format, or does not have the size that its header states.
    """
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{name} is not an idx file of unsigned bytes")
    dimensions = content[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(f"{name} is not an idx file of images or labels: it has {dimensions} dimensions")
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{name} is truncated: it ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    # In Python's integers, which do not overflow; a size of 0 would hide another that is too large for an array.
    if len(content) != header + math.prod(shape) or max(shape) > len(content):
        raise DataError(f"{name} is truncated: {len(content) - header} bytes of data for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
