"""The command line: what the help shows, what is said of a mistake, and environment variables."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import commands_page
import sluicegate
from sluicegate.cli.application import COMMANDS, command
from sluicegate.cli.options import parse, parser_of
from sluicegate.cli.variables import known_variables, unknown_variables

Run = Callable[..., tuple[int, str]]

MANIFESTS = ""


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_defaults_and_variables(command: Run, name: str) -> None:
    status, text = command(name, "--help")
    assert status == 0
    assert text.startswith(f"usage: sluicegate {name} [options]")
    assert max(map(len, text.splitlines())) <= 110
    shown = dict(re.findall(r"^  (?:-\w, )?(--[\w-]+)(.*(?:\n {20,}.*)*)", text, re.MULTILINE))
    del shown["--help"]
    assert shown or name == "completion"
    for option, lines in shown.items():
        words = " ".join(lines.split())
        assert re.search(r"\[(required|default: [^;\]]+)", words), (option, words)
        variable = f"SLUICEGATE_{option.removeprefix('--').replace('-', '_').upper()}"
        if variable in known_variables() and f"env: {variable}" not in words:
            assert option == "--output", words  # of commands that print once


def calls_of(line: str) -> Iterator[list[str]]:
    """The calls of sluicegate in a line of a shell, each without its name."""
    reader = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=True)
    reader.whitespace_split = True
    words = [*reader, ";"]
    while "sluicegate" in words:
        del words[: words.index("sluicegate") + 1]
        end = next(index for index, word in enumerate(words) if {*word} <= {*"();<>|&"})
        yield words[:end]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_has_examples_that_are_understood(name: str) -> None:
    examples = command(name).examples
    assert examples, "at least one"
    for line, meaning in examples:
        calls = list(calls_of(line))
        assert name in {call[0] for call in calls}, line
        assert meaning, line
        for called, *arguments in calls:
            parse(command(called), arguments)  # ends the program where it cannot be used


def test_the_list_of_commands(command: Run) -> None:
    for arguments in (["--help"], ["-h"], ["help"]):
        status, text = command(*arguments)
        assert status == 0
        assert re.findall(r"^  (\w+) ", text, re.MULTILINE) == list(COMMANDS)
    assert command() == (2, text)
    assert command("help", "check") == command("check", "--help")


def test_the_page_of_commands_is_what_the_program_says() -> None:
    """Where this fails: `python tools/commands_page.py`."""
    assert commands_page.PAGE.read_text() == commands_page.page()


@pytest.mark.parametrize("name", COMMANDS)
def test_names_of_options_mean_the_same_everywhere(name: str) -> None:
    options = {item.flags[0]: item for item in command(name).options}
    output = options.pop("--output", None)
    assert output is None or {"text", "json"} <= {*output.choices}
    if name not in {"completion", "graph"}:  # a script for a shell, a picture: and nothing else
        assert output is not None
        assert output.flags == ("--output", "-o")
    others = [item for other in COMMANDS for item in command(other).options if other != name]
    for item in others:
        same = options.get(item.flags[0])
        assert same is None or (same.flags, same.metavar, same.variable) == (item.flags, item.metavar, item.variable)
    assert parser_of(command(name)).allow_abbrev is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["chek"], "there is no command chek; did you mean check?"),
        (["--verison"], "there is no option --verison"),
        (["check"], "give paths of manifests (- for standard input), or --kubernetes"),
        (["check", ".", "--kubernetes"], "give paths of manifests, or --kubernetes, and not both"),
        (["status", ".", "--kubeconfig", "x"], "--kubeconfig is for --kubernetes"),
        (["explain", ".", "-r", "/", "--gateway", "a/b"], "--gateway is for --kubernetes"),
        (["check", "--kubernetes", "--for", "cluster"], "--for is for manifests"),
        (["check", "--kubernetes", "--backend", "a=127.0.0.1:1"], "--backend is for manifests"),
        (["status", "--kubernetes", "--ingress"], "--ingress is for manifests"),
        (["status", "--kubernetes", "--kubeconfig", "/nowhere"], "no API server is configured"),
        (["translate"], "no PATH is given"),
        (["check", "--oputput", "json", "."], "there is no option --oputput; did you mean --output?"),
        (["check", ".", "--output", "xml"], "invalid choice: 'xml'"),
        (["check", "/nowhere/at/all"], "/nowhere/at/all: no such file or directory"),
        (["translate", "/nowhere/at/all"], "/nowhere/at/all: no such file or directory"),
        (["explain", "/nowhere/at/all", "-r", "/"], "/nowhere/at/all: no such file or directory"),
        (["explain", "."], "--request is required"),
        (["gateway", "--controller", "a:1"], "--token-file and --ca-file and --state-directory are required"),
        (["serve"], "give paths of manifests (- for standard input), or --kubernetes"),
        (["serve", ".", "--kubernetes"], "give paths of manifests, or --kubernetes, and not both"),
        (["serve", ".", "--port-offset", "x"], "--port-offset: 'x': a whole number is expected, not text"),
        (["serve", ".", "--workers", "-1"], "--workers: -1 is not between 0 (a thread per core) and 256"),
        (["controller", "--stream-address", "x"], "--stream-address: 'x' is not an address and port"),
    ],
)
def test_mistakes_end_with_2(command: Run, arguments: list[str], words: str) -> None:
    status, text = command(*arguments)
    assert (status, words in text) == (2, True), text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SLUICEGATE_PORT_OFFSET", "x", "SLUICEGATE_PORT_OFFSET: 'x': a whole number is expected, not text"),
        ("SLUICEGATE_DRAIN", "-1", "SLUICEGATE_DRAIN: -1.0 seconds are not between 0 and 3600"),
        ("SLUICEGATE_LISTEN", "localhost", "SLUICEGATE_LISTEN: 'localhost' is not an IP address, such as 127.0.0.1"),
        ("SLUICEGATE_OUTPUT", "xml", "SLUICEGATE_OUTPUT: 'xml' is neither text nor json"),
        ("SLUICEGATE_CONFIG", "nowhere.toml", "nowhere.toml: the settings file cannot be read"),
    ],
)
def test_a_bad_variable_is_named(
    command: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    status, text = command("serve", ".")
    assert (status, text) == (2, f"error: {text.removeprefix('error: ')}")
    assert words in text


def test_variables_that_are_not_known_are_told(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICEGATE_PORT_OFSET", "1")
    status, text = command("version")
    assert status == 0
    assert "SLUICEGATE_PORT_OFSET is not known and does nothing; did you mean SLUICEGATE_PORT_OFFSET?" in text


def test_service_links_of_kubernetes_are_no_settings() -> None:
    links = {
        "SLUICEGATE_CONTROLLER_SERVICE_HOST": "10.0.0.1",
        "SLUICEGATE_CONTROLLER_SERVICE_PORT": "18000",
        "SLUICEGATE_CONTROLLER_SERVICE_PORT_CONFIG": "18000",
        "SLUICEGATE_CONTROLLER_PORT": "tcp://10.0.0.1:18000",
        "SLUICEGATE_CONTROLLER_PORT_18000_TCP": "tcp://10.0.0.1:18000",
        "SLUICEGATE_CONTROLLER_PORT_18000_TCP_ADDR": "10.0.0.1",
        "SLUICEGATE_IMAGE": "a",
    }
    assert list(unknown_variables(links)) == []
    del links["SLUICEGATE_CONTROLLER_SERVICE_HOST"]
    assert [line.split()[0] for line in unknown_variables({**links, "SLUICEGATE_ADMIN_PORT": "1"})] == [
        "SLUICEGATE_ADMIN_PORT",
        *(name for name in sorted(links) if "CONTROLLER" in name),
    ]


def test_version_for_programs(command: Run) -> None:
    assert command("version") == (0, f"{sluicegate.__version__}\n")
    assert command("-V") == command("version")
    document = json.loads(command("version", "-o", "json")[1])
    assert document == {"format": "sluicegate.dev/version/v1", "version": sluicegate.__version__}


def test_options_may_stand_anywhere(command: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("")
    one = command("check", "--output", "json", str(tmp_path))
    assert one == command("check", str(tmp_path), "--output", "json")
    assert one == command("check", str(tmp_path), "-ojson")


def test_no_command_that_prints_loads_what_serves() -> None:
    text = "import sys, sluicegate.__main__, sluicegate.cli.application\nprint(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert loaded.isdisjoint({"yaml", "cel", "celpy", "kubernetes", "grpc", "typer", "click", "rich", "watchfiles"})


#: Commands that print, and whether they are given manifests.
PRINTING = ((("check",), True), (("version",), False), (("explain", "-r", "http://a.test/"), True))


def print_to(place: int, manifests: Path, command: tuple[str, ...], given: bool) -> tuple[int, str]:
    """The status of a command whose output goes to a file descriptor, which is closed, and what it says besides."""
    (manifests / "all.yaml").write_text("---\n".join(f"kind: Odd\nmetadata: {{name: a{n}}}\n" for n in range(200)))
    name, *more = command
    line = [sys.executable, "-m", "sluicegate", name, *([str(manifests)] if given else []), *more]
    with open(place, "wb") as opened:
        result = subprocess.run(line, stdout=opened, stderr=subprocess.PIPE, text=True, check=False)
    return result.returncode, result.stderr


@pytest.mark.parametrize(("command", "given"), PRINTING)
def test_who_reads_may_end_first(tmp_path: Path, command: tuple[str, ...], given: bool) -> None:
    """As before `head`: nothing is said of it, and the status is that of other programs."""
    reading, writing = os.pipe()
    os.close(reading)
    assert print_to(writing, tmp_path, command, given) == (141, "")


@pytest.mark.parametrize(("command", "given"), PRINTING)
def test_a_full_disk_is_told(tmp_path: Path, command: tuple[str, ...], given: bool) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    assert print_to(full, tmp_path, command, given) == (1, "error: standard output: No space left on device\n")
