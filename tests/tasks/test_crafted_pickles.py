"""CIFAR-10's Python batches: official ones are read, crafted ones are refused, without a crash and without much memory."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glo.errors import DataError
from glo.tasks import cifar
from tasks.crafted_batches import BAD, GOOD, PIXELS, RECORDS, array, batch


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)


def reference(content: bytes) -> tuple[Any, Any]:
    """The data and labels as Python and NumPy read them."""
    values = pickle.loads(content, encoding="bytes")  # noqa: S301 - our own bytes
    return values[b"data"].reshape(RECORDS, 3, 32, 32), values[b"labels"]


@pytest.mark.parametrize("name", GOOD)
def test_a_batch_is_read_as_pickle_reads_it(name: str) -> None:
    images, labels = cifar.read_python(GOOD[name], name)
    expected_images, expected_labels = reference(GOOD[name])
    np.testing.assert_array_equal(images, expected_images)
    np.testing.assert_array_equal(labels, expected_labels)
    np.testing.assert_array_equal(images, PIXELS.reshape(images.shape))
    assert (images.dtype, labels.dtype) == (np.uint8, np.uint8)


def test_a_high_index_in_the_memo_takes_no_memory() -> None:
    """`pickle.Unpickler` would make a table of 64 GB."""
    content = batch(array() + b"r\xff\xff\xff\xff")
    tracemalloc.start()
    cifar.read_python(content, "some batch")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


# Reads each file of a folder in a process of its own, with limits, and prints what came of it and the memory that it took.
CHILD = """
import json, os, resource, sys
from pathlib import Path
from glo.errors import DataError
from glo.tasks import cifar

def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def attempt(path):
    content, before = path.read_bytes(), memory()
    try:
        cifar.read_python(content, path.name)
        said = "it was read"
    except DataError as error:
        said = f"DataError: {error}"
    except Exception as error:
        said = repr(error)[:300]
    return said, memory() - before

cifar.RECORDS = int(sys.argv[1])
for path in sorted(Path(sys.argv[2]).iterdir()):
    reader, writer = os.pipe()
    if not (child := os.fork()):
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        os.write(writer, json.dumps(attempt(path)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([path.name, code, json.loads(said or "null")]), flush=True)
"""
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="needs fork, and memory in kilobytes")


def run(code: str, *arguments: object) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)]
    child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert child.returncode == 0, child.stderr[-2000:]
    return child.stdout


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, Any]]:
    """For each crafted batch the exit code of its process, what the reader said, and the megabytes that it took."""
    folder = tmp_path_factory.mktemp("crafted")
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    lines = [json.loads(line) for line in run(CHILD, RECORDS, folder).splitlines()]
    return {name: (code, said) for name, code, said in lines}


@only_linux
@pytest.mark.parametrize("name", BAD)
def test_a_crafted_batch_is_refused(name: str, outcomes: dict[str, tuple[int, Any]]) -> None:
    code, said = outcomes[name]
    assert code == 0, f"ended by signal {-code}"
    message, megabytes = said
    assert message.startswith(f"DataError: {name} is ")
    assert megabytes < 100
    with pytest.raises(DataError, match=BAD[name][1]):
        raise DataError(message)


# --- random damage --------------------------------------------------------------------------------------------------

# Prints how many damaged batches are read and how many are refused.  Anything else ends the process.
FUZZ = """
import random, sys
from pathlib import Path
from glo.errors import DataError
from glo.tasks import cifar

cifar.RECORDS, count = int(sys.argv[1]), int(sys.argv[2])
batches = [path.read_bytes() for path in sorted(Path(sys.argv[3]).iterdir())]
pixels = Path(sys.argv[4]).read_bytes()
opcodes = bytes(range(256))
rng = random.Random(0)
read = refused = 0
for _ in range(count):
    # Damage the structure; the pixels, which are most of a batch, may have any values.
    before, after = rng.choice([batch for batch in batches if pixels in batch]).split(pixels)
    parts = [bytearray(before), bytearray(after)]
    for _ in range(rng.choice([1, 1, 2, 5])):
        part = rng.choice(parts)
        at = rng.randrange(len(part))
        match rng.randrange(5):
            case 0:
                part[at] = rng.randrange(256)
            case 1:
                part[at] ^= 1 << rng.randrange(8)
            case 2:
                del part[at : at + rng.choice([1, 1, 4, 20])]
            case 3:
                part[at:at] = rng.choice(opcodes).to_bytes() + rng.randbytes(rng.choice([0, 1, 4]))
            case 4:
                other = rng.choice(batches)
                start = rng.randrange(len(other))
                part[at:at] = other[start : start + rng.choice([2, 10, 60])]
        if not part:
            part += b"."
    try:
        images, labels = cifar.read_python(bytes(parts[0]) + pixels + bytes(parts[1]), "some batch")
        assert images.shape == (cifar.RECORDS, 3, 32, 32) and labels.shape == (cifar.RECORDS,) and labels.max() < 10
        read += 1
    except DataError:
        refused += 1
print(read, refused)
"""


def test_a_damaged_batch_is_read_or_refused(tmp_path: Path) -> None:
    folder = tmp_path / "batches"
    folder.mkdir()
    for name, content in GOOD.items():
        (folder / name).write_bytes(content)
    (tmp_path / "pixels").write_bytes(PIXELS.tobytes())
    read, refused = map(int, run(FUZZ, RECORDS, 10_000, folder, tmp_path / "pixels").split())
    assert read + refused == 10_000
    assert read > 300  # damage to a name or to a label, say
    assert refused > 5_000
