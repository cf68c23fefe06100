"""`sluicegate completion`: bash completes as its script says; the other scripts name the same."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable

import pytest

from sluicegate.cli.application import COMMANDS
from sluicegate.cli.application import command as load

Run = Callable[..., tuple[int, str]]


def completed(script: str, line: str) -> set[str]:
    """What bash offers for the last word of a command line."""
    words = line.split(" ")
    code = f"{script}\nCOMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}\n"
    code += '_sluicegate; printf "%s\\n" "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return set(done.stdout.split())


def test_bash_completes(command: Run) -> None:
    status, script = command("completion", "bash")
    assert status == 0
    assert completed(script, "sluicegate ") == {*COMMANDS, "--help", "--version"}
    assert completed(script, "sluicegate ch") == {"check"}
    assert completed(script, "sluicegate check --fail-on ") == {"error", "warning"}
    assert completed(script, "sluicegate check -o s") == {"sarif"}
    assert completed(script, "sluicegate explain --he") == {"--header", "--help"}
    assert completed(script, "sluicegate completion ") == {"bash", "zsh", "fish"}
    # Paths are the shell's own business.
    assert completed(script, "sluicegate check man") == set()
    assert "complete -o default -F" in script


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_and_option_is_there(command: Run, shell: str) -> None:
    status, script = command("completion", shell)
    assert status == 0
    text = script.replace(":", " ")
    for name in COMMANDS:
        assert f" {name} " in text or f'"{name} ' in text
        for item in load(name).options:
            flag = f"-l {item.flags[0].removeprefix('--')} " if shell == "fish" else item.flags[0]
            assert flag in text, flag


@pytest.mark.parametrize(("arguments", "words"), [((), "name one shell"), (("bsh",), "did you mean bash?")])
def test_another_shell_is_refused(command: Run, arguments: tuple[str, ...], words: str) -> None:
    status, text = command("completion", *arguments)
    assert (status, words in text) == (2, True), text
