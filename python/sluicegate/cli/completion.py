"""`sluicegate completion SHELL`: what a shell needs to complete commands, options and values, made of the options."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Iterator

from sluicegate.words import suggestion

from .exit_status import ExitStatus
from .options import Command, Option
from .roles import refuse

#: Commands, and what each does.
Commands = dict[str, str]


def _run(given: argparse.Namespace) -> int:
    from .application import COMMANDS, command

    shells = ", ".join(_SCRIPTS)
    if len(given.paths) != 1:
        return refuse(f"name one shell: {shells}")
    shell = given.paths[0]
    if shell not in _SCRIPTS:
        return refuse(f"there is no completion for {shell}{suggestion(shell, _SCRIPTS)}; there is one for {shells}")
    options = {name: command(name).options for name in COMMANDS}
    sys.stdout.write("\n".join(_SCRIPTS[shell](COMMANDS, options)) + "\n")
    return ExitStatus.OK


_OPTIONS = dict[str, tuple[Option, ...]]


def _flags(options: tuple[Option, ...]) -> list[str]:
    return [*(item.flags[0] for item in options), "--help"]


def _values(options: _OPTIONS) -> Iterator[tuple[str, Option, str]]:
    """Command, option and each way to write an option with few values."""
    for name, items in options.items():
        for item in items:
            for flag in item.flags if item.choices else ():
                yield name, item, flag


def _bash(commands: Commands, options: _OPTIONS) -> Iterator[str]:
    yield "# bash: source <(sluicegate completion bash), for example in ~/.bashrc"
    yield "_sluicegate() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield '    local name="${COMP_WORDS[1]}" words='
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        words="{" ".join(commands)} --help --version"'
    yield "    else"
    yield '        case "$name $before" in'
    for name, item, flag in _values(options):
        yield f'            "{name} {flag}") words="{" ".join(item.choices)}" ;;'
    yield '            *) case "$name $word" in'
    for name, items in options.items():
        yield f'                "{name} -"*) words="{" ".join(_flags(items))}" ;;'
    yield f'                "completion "*) words="{" ".join(_SCRIPTS)}" ;;'
    yield "            esac ;;"
    yield "        esac"
    yield "    fi"
    yield '    [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")'
    yield "}"
    yield "complete -o default -F _sluicegate sluicegate"


def _zsh(commands: Commands, options: _OPTIONS) -> Iterator[str]:
    yield "#compdef sluicegate"
    yield "# zsh: source <(sluicegate completion zsh), behind compinit in ~/.zshrc"
    yield "_sluicegate() {"
    yield "    if (( CURRENT == 2 )); then"
    yield "        local -a names=("
    for name, summary in commands.items():
        yield f"            {shlex.quote(f'{name}:{summary}')}"
    yield "        )"
    yield "        _describe command names"
    yield "        return"
    yield "    fi"
    yield '    case "$words[2] $words[CURRENT-1]" in'
    for name, item, flag in _values(options):
        yield f'        "{name} {flag}") compadd -- {" ".join(item.choices)}; return ;;'
    yield "    esac"
    yield '    case "$words[2] $words[CURRENT]" in'
    for name, items in options.items():
        yield f'        "{name} -"*) compadd -- {" ".join(_flags(items))} ;;'
    yield f'        "completion "*) compadd -- {" ".join(_SCRIPTS)} ;;'
    yield "        *) _files ;;"
    yield "    esac"
    yield "}"
    yield "compdef _sluicegate sluicegate"


def _fish(commands: Commands, options: _OPTIONS) -> Iterator[str]:
    yield "# fish: sluicegate completion fish > ~/.config/fish/completions/sluicegate.fish"
    for name, summary in commands.items():
        yield f"complete -c sluicegate -n __fish_use_subcommand -f -a {name} -d {_fish_text(summary)}"
    for name, items in options.items():
        for item in items:
            long, short = item.flags[0].removeprefix("--"), [flag[1:] for flag in item.flags[1:]]
            words = ["complete", "-c", "sluicegate", "-n", f"'__fish_seen_subcommand_from {name}'", "-l", long]
            words += ["-s", *short] if short else []
            words += ["-x", "-a", f"'{' '.join(item.choices)}'"] if item.choices else ["-r"] if item.metavar else []
            yield " ".join([*words, "-d", _fish_text(item.help)])
    shells = " ".join(_SCRIPTS)
    yield f"complete -c sluicegate -n '__fish_seen_subcommand_from completion' -f -a '{shells}'"


def _fish_text(text: str) -> str:
    """In single quotes, as fish reads them."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS: dict[str, Callable[[Commands, _OPTIONS], Iterator[str]]] = {"bash": _bash, "zsh": _zsh, "fish": _fish}

COMMAND = Command(
    name="completion",
    description="Print what a shell needs to complete commands, options and their values.",
    run=_run,
    paths="Shell: bash, zsh or fish.",
    metavar="SHELL",
    paths_optional=True,
    examples=(
        ("source <(sluicegate completion bash)", "in ~/.bashrc; zsh the same, behind compinit in ~/.zshrc"),
        ("sluicegate completion fish > ~/.config/fish/completions/sluicegate.fish", "fish"),
    ),
)
