"""Settings: which layer wins, and what is said of one that cannot be used."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sluicegate.processes.settings import MAX_FILE_BYTES, SettingsError, load_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sluicegate.toml"


def test_options_win_over_variables_and_these_over_the_file(file: Path) -> None:
    file.write_text('workers = 1\nport_offset = 1\ndrain = 1.5\nlisten = "127.0.0.1"\n[engine]\nmax_connections = 7\n')
    environment = {"SLUICEGATE_PORT_OFFSET": "2", "SLUICEGATE_WORKERS": "2", "SLUICEGATE_LISTEN": "127.0.0.2, ::1"}
    found = load_settings({"workers": 3, "drain": None}, environment, str(file))
    assert (found.workers, found.port_offset, found.drain) == (3, 2, 1.5)
    assert found.listen == ("127.0.0.2", "::1")
    assert found.engine_settings("") == {
        "max_connections": 7,
        "workers": 3,
        "admin": "127.0.0.1:19000",
        "access_log": {"enabled": False},
    }
    assert load_settings({}, {"SLUICEGATE_CONFIG": str(file)}).listen == ("127.0.0.1",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("colour = 1", ["colour", "not known"]),
        ("port_ofset = 1", ["port_ofset", "not known; did you mean port_offset?"]),
        ("[engine]\nmax_conections = 1", ["engine.max_conections", "did you mean max_connections?"]),
        ("workers = 1000", ["workers", "not between 0", "256"]),
        ("workers = 'many'", ["workers"]),
        ("drain = -1", ["drain", "seconds are not between"]),
        ("port_offset = 70000", ["port_offset", "60000"]),
        ("listen = ['localhost']", ["listen", "such as 127.0.0.1"]),
        ("listen = ['fe80::1%eth0']", ["listen", "may not have a zone"]),
        ("admin = 'localhost:1'", ["admin", "nor `off`"]),
        ("admin = '[fe80::1%eth0]:1'", ["admin", "nor `off`"]),
        ("output = 'xml'", ["output", "neither text nor json"]),
        ("access_log = '/nowhere/at/all.log'", ["access_log", "/nowhere/at", "create it"]),
        ("access_log = '/'", ["access_log", "name a file in it"]),
        ("[engine]\ncolour = 1", ["colour", "engine"]),
        ("[engine]\nmax_connections = 0", ["0: a whole number of at least 1", "engine.max_connections"]),
        ("[engine]\nmax_connections = 'x'", ["'x': a whole number is expected, not text", "engine.max_connections"]),
        ("[engine]\nidle_timeout_ms = -1", ["of at least 1", "engine.idle_timeout_ms"]),
        ("[engine]\nhttp2_stream_window = 4294967295", ["of at most 2147483647", "engine.http2_stream_window"]),
        ("[engine]\ntrusted_proxies = ['10.0.0.0/40']", ["trusted_proxies[0]", "such as 10.0.0.0/8"]),
        ("[engine]\ntrusted_proxies = ['10.0.0.0/255.0.0.0']", ["trusted_proxies[0]", "such as 10.0.0.0/8"]),
        ("[engine]\nworkers = 2", ["workers", "engine"]),
        ("workers = ", ["not valid TOML"]),
    ],
)
def test_what_cannot_be_used(file: Path, text: str, words: list[str]) -> None:
    """The message says what, where it was given, and what may be written."""
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {}, str(file))
    assert all(word in str(caught.value) for word in [*words, str(file)]), str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environment", "place"),
    [({"workers": -1}, {}, "--workers"), ({}, {"SLUICEGATE_WORKERS": "-1"}, "SLUICEGATE_WORKERS")],
)
def test_where_it_was_given(flags: dict[str, Any], environment: dict[str, str], place: str) -> None:
    with pytest.raises(SettingsError, match=rf"{place}: -1 is not between"):
        load_settings(flags, environment)


def test_a_file_of_an_editor_that_writes_a_mark_of_its_encoding(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfworkers = 3\n")
    assert load_settings({}, {}, str(file)).workers == 3


@pytest.mark.parametrize(("kind", "words"), [("pipe", "is no plain file"), ("large", "is larger than")])
def test_a_file_that_is_none_of_settings(tmp_path: Path, kind: str, words: str) -> None:
    """Nobody writes into the pipe: it is not waited for."""
    path = tmp_path / "settings"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SettingsError, match=words):
        load_settings({}, {}, str(path))


def test_standard_output_has_events_alone() -> None:
    """Where they are for programs the access log goes to standard error, also one that is switched on later."""
    for given, expected in (
        ({"output": "json"}, {"enabled": False, "standard_error": True}),
        ({"output": "json", "access_log": "-"}, {"enabled": True, "standard_error": True}),
        ({"output": "json", "access_log": "a.log"}, {"enabled": True, "path": "a.log"}),
        ({"access_log": "-"}, {"enabled": True}),
    ):
        assert load_settings(given, {}).engine_settings("")["access_log"] == expected


def test_a_missing_file() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: the settings file cannot be read: No such file"):
        load_settings({}, {}, "nowhere.toml")
