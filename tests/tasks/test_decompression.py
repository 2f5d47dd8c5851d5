"""Files that unpack to far more than the official ones are refused early, with little memory."""

from __future__ import annotations

import gzip
import io
import json
import struct
import subprocess
import sys
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest

from glo.errors import DataError
from glo.tasks.archive import MAX_MEMBERS, read_members
from glo.tasks.data import read_at_most, read_idx

HUGE = 500_000_000
LARGEST = 1_000_000
# Prints what a call says, and the megabytes that it took.
CHILD = """
import json, resource, sys
from pathlib import Path
from glo.errors import DataError
from glo.tasks.archive import read_members
from glo.tasks.data import check_md5, read_checked

def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before, said = memory(), "it was read"
try:
    eval(sys.argv[2], globals() | {"path": Path(sys.argv[1])})
except DataError as error:
    said = str(error)
print(json.dumps([said, memory() - before]))
"""
only_linux = pytest.mark.skipif(sys.platform != "linux", reason="measures memory in kilobytes")


def refused(call: str, path: Path) -> str:
    """The message of a call in a process of its own, which must take little memory."""
    command = [sys.executable, "-W", "ignore", "-c", CHILD, str(path), call]
    child = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    said, megabytes = json.loads(child.stdout)
    assert megabytes < 100
    return said


def write_zeros(path: Path, size: int, start: bytes = b"") -> Path:
    """A gzip of some bytes and then zeros, about a thousandth of their size."""
    compressor = zlib.compressobj(1, wbits=31)
    with path.open("wb") as file:
        file.write(compressor.compress(start))
        for _ in range(size // 1_000_000):
            file.write(compressor.compress(bytes(1_000_000)))
        file.write(compressor.flush())
    assert path.stat().st_size < size / 100
    return path


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of a file in an archive."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def pack(path: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@only_linux
def test_a_gzip_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = write_zeros(tmp_path / "labels.gz", HUGE)
    said = refused("read_checked(path, 'some sha256', 60_008)", path)
    assert said == f"{path} is not the official file: it unpacks to more than 60,008 bytes"


@only_linux
def test_a_gzip_of_many_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(bytes(10_000_000)) * (HUGE // 10_000_000))
    assert "unpacks to more than 47,040,016 bytes" in refused("read_checked(path, 'some sha256', 47_040_016)", path)


@only_linux
def test_a_large_plain_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    with path.open("wb") as file:
        file.truncate(HUGE)
    said = refused("read_checked(path, 'some sha256', 60_008)", path)
    assert said == f"{path} is not the official file: it has more than 60,008 bytes"
    assert "its md5 is" in refused("check_md5(path, 'some md5')", path)


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    (tmp_path / "file.gz").write_bytes(gzip.compress(content))
    assert read_at_most(tmp_path / "file.gz", len(content)) == content
    with pytest.raises(DataError, match="unpacks to more than 2,559 bytes"):
        read_at_most(tmp_path / "file.gz", len(content) - 1)


def test_the_checksum_of_a_file_of_the_largest_size_is_compared(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 1
    (tmp_path / "file.gz").write_bytes(packed)
    with pytest.raises(DataError, match=r"file\.gz cannot be read \(CRC check failed"):
        read_at_most(tmp_path / "file.gz", len(content))


# --- archives -------------------------------------------------------------------------------------------------------

CALL = f"read_members(path, ('one', 'two'), {LARGEST})"
STARTS = {
    "a large file": (header("folder/one", HUGE), "its one unpacks to more than 1,000,000 bytes"),
    "another large file": (header("folder/other", HUGE), "it unpacks to more than 3,000,000 bytes"),
    "a long name": (header("long", HUGE, tarfile.GNUTYPE_LONGNAME), "it unpacks to more than 3,000,000 bytes"),
    "a long list of attributes": (header("pax", HUGE, tarfile.XHDTYPE), "it unpacks to more than 3,000,000 bytes"),
    "a long end": (header("folder/other", 0), "it contains no one, two"),
}


@only_linux
@pytest.mark.parametrize("name", STARTS)
def test_an_archive_that_unpacks_to_too_much_is_refused(name: str, tmp_path: Path) -> None:
    start, words = STARTS[name]
    path = write_zeros(tmp_path / "archive.tar.gz", HUGE, start)
    assert refused(CALL, path) == f"{path} is not the official file: {words}"


def test_an_archive_of_many_files_is_refused(tmp_path: Path) -> None:
    path = pack(tmp_path / "archive.tar.gz", {f"file {number}": b"" for number in range(MAX_MEMBERS + 1)})
    with pytest.raises(DataError, match="contains more than 100 files"):
        read_members(path, ("one",), LARGEST)


def test_files_of_an_archive_are_read(tmp_path: Path) -> None:
    contents = {"folder/other": b"other", "folder/two": bytes(LARGEST), "folder/one": b"1"}
    path = pack(tmp_path / "archive.tar.gz", contents)
    assert read_members(path, ("one", "two"), LARGEST) == {"one": b"1", "two": bytes(LARGEST)}
    with pytest.raises(DataError, match=r"archive\.tar\.gz is not the official file: it contains no three"):
        read_members(path, ("one", "three"), LARGEST)


@pytest.mark.parametrize("cut", [0, 5, 100, -10])
def test_a_truncated_archive_is_refused(cut: int, tmp_path: Path) -> None:
    path = pack(tmp_path / "archive.tar.gz", {"one": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"archive\.tar\.gz cannot be read"):
        read_members(path, ("one", "two"), LARGEST)


# --- idx ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "content"),
    [
        ((1 << 16, 1 << 16, 1 << 16, 1 << 16), b""),  # 2**64 bytes, which is 0 in 64-bit integers
        ((1 << 31, 1 << 31, 4), b""),
        (((1 << 32) - 1, (1 << 32) - 1), b"1"),
        ((0, (1 << 32) - 1, (1 << 32) - 1, (1 << 32) - 1), b""),
        ((1,) * 200, b"1"),
        ((), b"1"),
    ],
    ids=["overflow", "overflow of three", "huge", "huge but for a zero", "many dimensions", "no dimension"],
)
def test_an_idx_header_of_an_impossible_shape_is_refused(shape: tuple[int, ...], content: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(DataError, match="some file is"):
        read_idx(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + content, "some file")
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
