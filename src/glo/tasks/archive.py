"""Read some files of a .tar.gz, with bounded memory whatever the archive holds."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from collections.abc import Collection
from pathlib import Path

from glo.errors import DataError

MAX_MEMBERS = 100
MARGIN = 1_000_000  # bytes of headers and of files that nobody asked for


def read_members(path: Path, names: Collection[str], largest: int) -> dict[str, bytes]:
    """The content of files in an archive, by name without folder.

    The archive is decompressed as a stream, until all the files are found.

    Args:
        path: the archive.
        names: the files.
        largest: the most bytes that one of them may have.

    Raises:
        DataError: if the archive is damaged, lacks a file, or unpacks to more than such files have.
    """
    most = len(names) * largest + MARGIN
    contents: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unpacked, tarfile.open(fileobj=_Limited(unpacked, path, most), mode="r|") as archive:
            for number, member in enumerate(archive):
                if number == MAX_MEMBERS:
                    raise DataError(f"{path} is not the official file: it contains more than {MAX_MEMBERS} files")
                name = Path(member.name).name
                if name not in names or not member.isfile():
                    continue
                if member.size > largest:
                    raise DataError(f"{path} is not the official file: its {name} unpacks to more than {largest:,} bytes")
                if (file := archive.extractfile(member)) is not None:
                    contents[name] = file.read()
                if len(contents) == len(names):
                    return contents
    except DataError:
        raise
    except (OSError, EOFError, ValueError, zlib.error, tarfile.TarError) as error:  # ValueError: a damaged header
        raise DataError(f"{path} cannot be read ({error}): it is truncated or damaged; delete it and try again") from error
    missing = ", ".join(name for name in names if name not in contents)
    raise DataError(f"{path} is not the official file: it contains no {missing}")


class _Limited(io.RawIOBase):
    """A stream of at most `most` bytes.

    `tarfile` reads some headers whole, so to limit the sizes of the files in an archive would not be enough.

    Raises:
        DataError: from `read`, if there is more.
    """

    def __init__(self, stream: gzip.GzipFile, path: Path, most: int) -> None:
        super().__init__()
        self._stream, self._path, self._most, self._left = stream, path, most, most

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        content = self._stream.read(wanted)
        self._left -= len(content)
        if self._left < 0:
            raise DataError(f"{self._path} is not the official file: it unpacks to more than {self._most:,} bytes")
        return content
