"""Data files: MNIST from small files that the tests write, damaged files, and downloads from a local server."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from glo.errors import DataError
from glo.tasks import load_task
from glo.tasks.builtin import mnist
from glo.tasks.data import download, find_file, read_idx

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TRAIN, TOTAL, TEST = 20, 30, 12
LARGEST = 100_000  # bytes of a file


def idx(array: np.ndarray) -> bytes:
    """The idx format: two zero bytes, the type (8: unsigned bytes), the number of dimensions, their sizes, the data."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """Small files in MNIST's format, under its names."""
    generator = np.random.default_rng(0)
    files = {}
    for prefix, samples in (("train", TOTAL), ("t10k", TEST)):
        files[f"{prefix}-images-idx3-ubyte"] = idx(generator.integers(0, 256, (samples, 28, 28)))
        files[f"{prefix}-labels-idx1-ubyte"] = idx(np.arange(samples) % 10)
    return files


@pytest.fixture(autouse=True)
def small_mnist(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expect the small files instead of MNIST's, and hide the user's folders and cache."""
    for name, content in contents.items():
        monkeypatch.setitem(mnist.FILES, name, hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(mnist, "TRAIN", TRAIN)
    monkeypatch.delenv("GLO_DATA", raising=False)
    for variable in ("XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path / "cache"))
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")


def fill(folder: Path, contents: dict[str, bytes], zipped: bool = True) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("zipped", [True, False], ids=["gzipped", "plain"])
@pytest.mark.parametrize("subfolder", ["mnist", "."])
@pytest.mark.parametrize("by", ["data_dir", "GLO_DATA"])
def test_mnist_is_found(
    by: str, subfolder: str, zipped: bool, contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "data"
    fill(root / subfolder, contents, zipped)
    if by == "GLO_DATA":
        monkeypatch.setenv("GLO_DATA", str(root))
    task = load_task("mnist", data_dir=root if by == "data_dir" else None)
    assert [len(task.split(name)) for name in ("train", "validation", "test")] == [TRAIN, TOTAL - TRAIN, TEST]
    inputs = task.split("train").inputs
    assert inputs.shape == (TRAIN, 1, 28, 28)
    pixels = np.frombuffer(contents[IMAGES], np.uint8, offset=16).reshape(TOTAL, 1, 28, 28)
    np.testing.assert_allclose(inputs.numpy(), pixels[:TRAIN] / 255, rtol=1e-6)
    assert task.split("validation").targets.tolist() == [i % 10 for i in range(TRAIN, TOTAL)]
    assert task.split("test").targets.dtype == torch.int64


def test_data_dir_takes_precedence_over_the_environment(
    contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLO_DATA", str(tmp_path / "nothing here"))
    assert load_task("mnist", data_dir=fill(tmp_path / "data", contents)).name == "mnist"


def remove(path: Path, content: bytes) -> None:
    path.unlink()


def truncate(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content)[:-20])


def empty(path: Path, content: bytes) -> None:
    path.write_bytes(b"")


def damage(path: Path, content: bytes) -> None:
    """Break the compressed stream itself."""
    packed = bytearray(gzip.compress(content))
    packed[12:40] = b"\xff" * 28
    path.write_bytes(bytes(packed))


def alter(path: Path, content: bytes) -> None:
    """Change one byte of the content in an intact file."""
    path.write_bytes(gzip.compress(content[:-1] + bytes([content[-1] ^ 1])))


def page(path: Path, content: bytes) -> None:
    """Write a page such as a proxy may return instead of the file."""
    path.write_bytes(b"<html>Please log in</html>")


@pytest.mark.parametrize("harm", [remove, truncate, empty, damage, alter, page])
@pytest.mark.parametrize("name", [IMAGES, "t10k-labels-idx1-ubyte"])
def test_the_error_names_a_damaged_file(
    name: str, harm: Callable[[Path, bytes], None], contents: dict[str, bytes], tmp_path: Path
) -> None:
    folder = fill(tmp_path / "mnist", contents)
    harm(folder / f"{name}.gz", contents[name])
    with pytest.raises(DataError, match=name):
        load_task("mnist", data_dir=tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack(">BBBBI", 0, 0, 13, 1, TOTAL) + bytes(TOTAL),  # type 13: floats
        b"P5 28 28 255 ",
        b"",
        b"\x00\x00\x08\x03\x00\x00",
        struct.pack(">BBBBI", 0, 0, 8, 1, TOTAL + 1) + bytes(TOTAL),
        struct.pack(">BBBBI", 0, 0, 8, 1, TOTAL - 1) + bytes(TOTAL),
    ],
    ids=["of floats", "another format", "empty", "header cut short", "too short", "too long"],
)
def test_the_error_names_a_file_that_is_not_idx(
    content: bytes, contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mnist.FILES, LABELS, hashlib.sha256(content).hexdigest())
    fill(tmp_path / "mnist", {**contents, LABELS: content})
    with pytest.raises(DataError, match=LABELS):
        load_task("mnist", data_dir=tmp_path)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0,)])
def test_idx_files_of_every_shape_are_read(shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    np.testing.assert_array_equal(read_idx(idx(array), "some file"), array)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without logging."""

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name of the base class
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running server, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/", folder
        running.shutdown()
        thread.join()


def unused_address() -> str:
    """An address on which no server listens: its port has just been released."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_download_is_put_in_place(server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path) -> None:
    url, folder = server
    fill(folder, contents)
    target = tmp_path / "new" / "folders" / f"{LABELS}.gz"
    assert download(f"{url}{LABELS}.gz", target, sha256(contents[LABELS]), LARGEST) == contents[LABELS]
    assert gzip.decompress(target.read_bytes()) == contents[LABELS]
    assert files_in(tmp_path / "new") == [target]


def test_a_wrong_download_leaves_nothing_behind(
    server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path
) -> None:
    url, folder = server
    fill(folder, contents)
    for harm in (truncate, alter, page):
        harm(folder / f"{LABELS}.gz", contents[LABELS])
        with pytest.raises(DataError, match=LABELS):
            download(f"{url}{LABELS}.gz", tmp_path / "new" / f"{LABELS}.gz", sha256(contents[LABELS]), LARGEST)
        assert files_in(tmp_path / "new") == []
        assert list((tmp_path / "new").iterdir()) == []


def test_a_wrong_download_does_not_replace_a_file(
    server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path
) -> None:
    url, folder = server
    fill(folder, contents)
    target = tmp_path / f"{LABELS}.gz"
    target.write_bytes(b"what was there")
    with pytest.raises(DataError):
        download(f"{url}{LABELS}.gz", target, sha256(b"something else"), LARGEST)
    assert target.read_bytes() == b"what was there"


@pytest.mark.parametrize("missing", ["file", "server"])
def test_a_failed_download_is_reported(missing: str, server: tuple[str, Path], tmp_path: Path) -> None:
    url = server[0] if missing == "file" else unused_address()
    with pytest.raises(DataError, match=f"{url}nothing.gz cannot be downloaded.*--data-dir"):
        download(f"{url}nothing.gz", tmp_path / "new" / "nothing.gz", sha256(b""), LARGEST)
    assert files_in(tmp_path / "new") == []


def test_a_folder_that_cannot_be_created_is_reported(
    server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "occupied").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="cannot be downloaded"):
        download(f"{server[0]}{LABELS}.gz", tmp_path / "occupied" / f"{LABELS}.gz", sha256(contents[LABELS]), LARGEST)


def test_mnist_is_downloaded_once_into_the_cache(
    server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = server
    fill(folder, contents)
    monkeypatch.setattr(mnist, "URL", url)
    first = load_task("mnist")
    assert sorted(path.name for path in files_in(tmp_path / "cache")) == sorted(f"{name}.gz" for name in contents)
    monkeypatch.setattr(mnist, "URL", unused_address())
    assert load_task("mnist").digest() == first.digest()


def test_nothing_is_downloaded_into_a_given_folder(
    server: tuple[str, Path], contents: dict[str, bytes], tmp_path: Path
) -> None:
    url, folder = server
    fill(folder, contents)
    (tmp_path / "given").mkdir()
    with pytest.raises(DataError, match=f"{LABELS}.gz is neither in"):
        find_file("mnist", LABELS, sha256(contents[LABELS]), LARGEST, url, tmp_path / "given")


def test_noisy_mnist_is_mnist_with_wrong_training_labels(contents: dict[str, bytes], tmp_path: Path) -> None:
    root = fill(tmp_path / "data", contents)
    clean, noisy = load_task("mnist", data_dir=root), load_task("noisy-mnist", {"noise": 0.5}, data_dir=root)
    assert noisy.name == "noisy-mnist"
    assert noisy.training == clean.training
    wrong = noisy.split("train").targets != clean.split("train").targets
    assert int(wrong.sum()) == round(0.5 * len(wrong))
    for split in ("validation", "test"):
        assert torch.equal(noisy.split(split).targets, clean.split(split).targets)
