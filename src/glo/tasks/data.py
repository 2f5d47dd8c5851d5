"""Data files: find or download them, check their content, and read the idx format."""

from __future__ import annotations

import gzip
import hashlib
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
DOWNLOAD_HINT = "give no folder (--data-dir, $GLO_DATA) and it is downloaded"


def find_file(folder: str, name: str, sha256: str, base_url: str, data_dir: str | Path | None = None) -> bytes:
    """The checked content of a data file, which is downloaded if no folder is given.

    The file is `folder/name` or `name`, gzipped (name.gz) or not, in `data_dir`, else in `$GLO_DATA`, else in the user's
    cache.  If neither folder is given and the cache does not have the file, it is downloaded into the cache.

    Raises:
        DataError: if the file is missing, truncated or altered, or cannot be downloaded; the message names it.
    """
    given = data_dir or os.environ.get("GLO_DATA")
    root = Path(given).expanduser() if given else cache_dir()
    for path in _candidates(root, folder, name):
        if path.is_file():
            return read_checked(path, sha256)
    if given:
        raise DataError(f"{name}.gz is neither in {root / folder} nor in {root}: put it there, or {DOWNLOAD_HINT}")
    return download(f"{base_url}{name}.gz", cache_dir() / folder / f"{name}.gz", sha256)


def cache_dir() -> Path:
    """The folder for downloaded files."""
    return Path(platformdirs.user_cache_dir("glo"))


def _candidates(root: Path, folder: str, name: str) -> Iterator[Path]:
    for parent in (root / folder, root):
        yield parent / f"{name}.gz"
        yield parent / name


def read_checked(path: Path, sha256: str) -> bytes:
    """The content of a file, decompressed if its name ends in .gz.

    Raises:
        DataError: if it cannot be read, or its content has another sha256.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}): it is truncated or damaged; delete it and try again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DataError(
            f"{path} has been altered: the sha256 of its content is {found[:16]}..., not {sha256[:16]}...; "
            "delete it and try again"
        )
    return content


def download(url: str, target: Path, sha256: str) -> bytes:
    """Download a file and return its checked content; a broken download leaves nothing behind."""
    return _fetch(url, target, lambda path: read_checked(path, sha256))


def download_archive(url: str, target: Path, md5: str) -> Path:
    """Download an archive and check its published md5, unless it is there already."""
    if not target.is_file():
        _fetch(url, target, lambda path: check_md5(path, md5))
    return target


def check_md5(path: Path, md5: str) -> None:
    """Compare a file with its published md5.

    Raises:
        DataError: if they differ.
    """
    found = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
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
    """An array of unsigned bytes in idx format (the format of the MNIST files)."""
    if len(content) < 4 or content[:3] != b"\x00\x00\x08":
        raise DataError(f"{name} is not an idx file of unsigned bytes")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise DataError(f"{name} is truncated: it ends within its header")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) != header + int(np.prod(shape)):
        raise DataError(f"{name} is truncated: {len(content) - header} bytes of data for the shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
