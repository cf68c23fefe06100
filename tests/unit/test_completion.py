"""`sluicegate completion`: each shell completes as its script says, on a terminal; the scripts name the same."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.cli.application import COMMANDS
from sluicegate.cli.application import command as load

Run = Callable[..., tuple[int, str]]

#: Seconds for a shell to begin and to answer.
LIMIT = 60.0
PROMPT, ANSWER = b"ready> ", b"got:"
#: What a shell with a terminal is started by, and what it reads at its start.
SHELLS = {
    "bash": (["bash", "--noprofile", "--rcfile", "{folder}/.bashrc", "-i"], ".bashrc", ""),
    "zsh": (["zsh", "-i"], ".zshrc", "autoload -Uz compinit; compinit -D -u\n"),
}


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


def typed(shell: str, folder: Path, script: str, line: str) -> str:
    """What a command gets of a line that is typed on a terminal, tabs and all."""
    command, name, first = SHELLS[shell]
    answer = f'sluicegate() {{ echo "{ANSWER.decode()}$*:"; }}'
    (folder / name).write_text(f"{first}{script}\n{answer}\nPS1='{PROMPT.decode()}'\n")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "ZDOTDIR": str(folder), "TERM": "vt100"}
    ours, theirs = pty.openpty()
    words = [word.format(folder=folder) for word in command]
    process = subprocess.Popen(
        words, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=folder, start_new_session=True
    )
    os.close(theirs)
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            assert select.select([ours], [], [], LIMIT)[0], seen
            seen += os.read(ours, 4096)

    try:
        until(PROMPT)
        seen = b""
        os.write(ours, line.encode() + b"\r")
        until(ANSWER)
        until(b":\r\n")
        return seen.rpartition(ANSWER)[2].partition(b":\r\n")[0].decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_line_on_a_terminal(command: Run, tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    script = command("completion", shell)[1]
    (tmp_path / "manifests").mkdir()
    line = "sluicegate che\t--fail-o\twar\tmani\t"
    assert typed(shell, tmp_path, script, line).rstrip("/ ") == "check --fail-on warning manifests"
    assert typed(shell, tmp_path, script, "sluicegate comp\tfi\t").rstrip() == "completion fish"
    assert typed(shell, tmp_path, script, "sluicegate explain --he\t").rstrip() == "explain --he"  # of several


def test_fish_completes(command: Run, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    script = tmp_path / "sluicegate.fish"
    script.write_text(command("completion", "fish")[1])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}

    def offered(line: str) -> set[str]:
        code = f"source {shlex.quote(str(script))}; complete --do-complete {shlex.quote(line)}"
        words = ["fish", "--no-config", "--command", code]
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, cwd=tmp_path)
        assert done.stderr == ""
        return {text.partition("\t")[0] for text in done.stdout.splitlines()}

    assert offered("sluicegate ") == {*COMMANDS}
    assert offered("sluicegate che") == {"check"}
    assert offered("sluicegate check --fail-on ") == {"error", "warning"}
    assert {"--header"} == offered("sluicegate explain --head")
    assert {"bash", "zsh", "fish"} <= offered("sluicegate completion ")
    (tmp_path / "manifests").mkdir()
    assert "manifests/" in offered("sluicegate check mani")


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
