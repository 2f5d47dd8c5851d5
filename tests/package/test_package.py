"""The wheel and the sdist: what they hold, and that the installed wheel works without the repository.

The wheel is installed in an environment of its own, which has the libraries of this one.  Nothing is downloaded.
"""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from glo.version import __version__

ROOT = Path(__file__).parents[2]
DISTRIBUTION = f"glo_torch-{__version__}"
# Without PYTHONPATH, which could lead back to the repository.
ENVIRONMENT = {**{name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, "OMP_NUM_THREADS": "1"}

pytest.importorskip("hatchling", reason="pip install 'glo-torch[dev]'")


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(source: Path, folder: Path, *targets: str) -> Path:
    """The one file that is built from a folder with the source."""
    run(sys.executable, "-m", "hatchling", "build", *targets, "-d", folder, cwd=source)
    (found,) = folder.iterdir()
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(ROOT, tmp_path_factory.mktemp("wheel"), "-t", "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(built(ROOT, tmp_path_factory.mktemp("archive"), "-t", "sdist")) as archive:
        archive.extractall(folder, filter="data")
    return folder / DISTRIBUTION


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a program of an environment with the wheel, in an empty folder."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    # A path file of a path file is not read, so that an editable installation of glo is not found.
    (libraries,) = folder.glob("lib/python*/site-packages")
    (libraries / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")

    def call(program: str, *arguments: str | Path, cwd: Path) -> str:
        return run(folder / "bin" / program, *arguments, cwd=cwd)

    return call


def test_the_wheel_has_every_file_of_the_source(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if not name.startswith(f"{DISTRIBUTION}.dist-info/")}
    files = (path for path in (ROOT / "src" / "glo").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in files}
    assert {"glo/py.typed", "glo/report/templates/study.html.j2", "glo/report/templates/page.css"} <= packed


def test_the_page_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        page = email.message_from_bytes(archive.read(f"{DISTRIBUTION}.dist-info/METADATA"))
    assert (page["Name"], page["Version"], page["Requires-Python"]) == ("glo-torch", __version__, ">=3.11")
    assert page["License-Expression"] == "Apache-2.0"
    assert page["Description-Content-Type"] == "text/markdown"
    assert str(page.get_payload()).startswith("# glo\n")
    assert page["Keywords"]
    versions = [line.rpartition(" ")[2] for line in page.get_all("Classifier", []) if " :: 3." in line]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]


def test_the_extra_for_development_has_all_that_is_tested() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    included = {match[1] for line in extras["dev"] if (match := re.fullmatch(r"glo-torch\[(\w+)\]", line))}
    assert included | {"dev", "bench", "docs"} >= set(extras)


def test_the_version_is_the_same_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {__version__}\n" in citation
    (newest, *_) = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest == __version__


def test_the_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    assert {"tests", "docs", "examples", "Makefile", "constraints.txt", "CHANGELOG.md"} <= {p.name for p in sdist.iterdir()}
    with zipfile.ZipFile(built(sdist, tmp_path, "-t", "wheel")) as again, zipfile.ZipFile(wheel) as first:
        assert {info.filename: info.CRC for info in again.infolist()} == {
            info.filename: info.CRC for info in first.infolist()
        }


def test_the_installed_library_is_not_the_repository(installed: Callable[..., str], tmp_path: Path) -> None:
    code = "import glo, importlib.metadata as m; print(glo.__file__); print(glo.__version__, m.version('glo-torch'))"
    file, versions = installed("python", "-c", code, cwd=tmp_path).splitlines()
    assert not Path(file).is_relative_to(ROOT)
    assert versions == f"{__version__} {__version__}"


def test_the_installed_command_searches_and_reports(installed: Callable[..., str], tmp_path: Path) -> None:
    assert "--out" in installed("glo", "demo", "--help", cwd=tmp_path)
    small = ["--population", "6", "--generations", "1", "--steps", "60", "--confirm", "0", "--baselines", "none"]
    assert "best loss" in installed("glo", "search", "--task", "digits", "--name", "tiny", *small, cwd=tmp_path)
    installed("glo", "report", "tiny", cwd=tmp_path)  # its templates are in the wheel
    assert "tiny" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_an_example_runs_with_the_installed_library(installed: Callable[..., str], tmp_path: Path) -> None:
    assert "test accuracy" in installed("python", ROOT / "examples" / "training_loop.py", cwd=tmp_path)
