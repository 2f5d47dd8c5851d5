"""Who may read the dashboard, what it sends, and that it writes nothing."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.conftest import Glo, assert_misuse, glo  # noqa: F401 - a fixture
from dashboards import dashboard, record
from glo.dashboard import Address
from glo.errors import ConfigError
from glo.store import Store
from made_up_studies import generation, outcome

TOKEN = "a-secret"  # noqa: S105 - of these tests


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    record(tmp_path / "glo.db")
    return tmp_path / "glo.db"


def asked(url: str, path: str = "/", headers: Mapping[str, str] | None = None) -> tuple[HTTPResponse, str]:
    """The answer to a request, and its text."""
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("GET", path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response, response.read().decode()


def test_a_page_asks_for_nothing_elsewhere_and_cannot_be_framed(storage: Path) -> None:
    with dashboard(storage) as url:
        response, text = asked(url, "/studies/made-up")
    assert response.status == 200
    assert "log(y) - x/y" in text
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src &#39;none&#39;" in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example"])
def test_a_foreign_host_header_is_refused(storage: Path, host: str) -> None:
    with dashboard(storage) as url:
        response, text = asked(url, headers={"Host": host})
    assert response.status == 400
    assert "made-up" not in text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080", "glo.example"])
def test_its_own_names_are_answered(storage: Path, host: str) -> None:
    with dashboard(storage, 0, "--allow-host", "glo.example") as url:
        assert asked(url, headers={"Host": host})[0].status == 200


def test_a_token_opens_it_once_and_is_then_a_cookie(storage: Path) -> None:
    with dashboard(storage, 0, "--token", TOKEN) as url:
        assert url.endswith(f"/?token={TOKEN}")
        for path in ("/", "/studies/made-up", "/events", "/compare?study=made-up&study=second", "/?token=another"):
            response, text = asked(url, path)
            assert (response.status, "made-up" in text) == (403, False)
        assert asked(url, headers={"Cookie": "glo-token=another"})[0].status == 403
        response, _ = asked(url, f"/studies/made-up?token={TOKEN}")
        assert (response.status, response.headers["Location"]) == (303, "/studies/made-up")
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert asked(url, "/studies/made-up", {"Cookie": cookie.split(";")[0]})[0].status == 200


def test_other_machines_need_a_token(storage: Path) -> None:
    with dashboard(storage, 0, "--host", "0.0.0.0") as url:  # noqa: S104 - it is given a token
        assert len(url.split("?token=")[1]) >= 32
        port = urlsplit(url).port
        assert asked(f"http://127.0.0.1:{port}")[0].status == 403
    with pytest.raises(ConfigError, match="needs a token to be read from other machines"):
        Address("0.0.0.0")  # noqa: S104


def test_a_port_that_is_taken(storage: Path, glo: Glo) -> None:  # noqa: F811
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert_misuse(glo("dashboard", "--storage", str(storage), "--port", str(port)), f"cannot listen on .*{port}.*--port")


def test_a_study_that_is_not_there(storage: Path) -> None:
    with dashboard(storage) as url:
        response, text = asked(url, "/studies/other")
    assert response.status == 404
    assert "there is no study &#39;other&#39;" in text


def test_it_writes_nothing(storage: Path) -> None:
    before = {path.name: path.read_bytes() for path in storage.parent.iterdir()}
    with dashboard(storage) as url:
        for path in ("/", "/studies/made-up", "/compare?study=made-up&study=made-up"):
            asked(url, path)
    assert {path.name: path.read_bytes() for path in storage.parent.iterdir()} == before


def test_events_tell_each_change(storage: Path) -> None:
    with dashboard(storage) as url, closing(HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request("GET", "/events?study=made-up")
        stream = connection.getresponse()

        def version() -> str:
            return next(line for line in iter(stream.readline, b"") if line.startswith(b"data: ")).decode()

        first = version()
        with closing(Store(storage)) as store:
            store.record("made-up", generation(2, [outcome("x + y*y", 0.2)]))
        assert version() != first
