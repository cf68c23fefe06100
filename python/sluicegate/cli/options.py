"""Options of every command, declared in one way and read by argparse.

Rules:
- An option that is a setting has the setting's name everywhere: `--port-offset`, `SLUICEGATE_PORT_OFFSET`, and
  `port_offset` in the file. What it does by default is read from the setting itself.
- The help shows the default and the variable of each option.
- A value is looked at by what uses it, so that a bad one is refused in the same words wherever it was given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from sluicegate.processes.settings import ENVIRONMENT_PREFIX, LISTS
from sluicegate.words import suggestion

from .exit_status import ExitStatus

#: Columns of the help where nobody says how many there are (`COLUMNS`), and the place where descriptions begin.
WIDTH, COLUMN = 100, 30


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        flags: how it is written, the long form first.
        help: what it does.
        default: what happens without it, in words; empty: it is required.
        metavar: what stands for its value; empty: it has none.
        choices: values that it may have; empty: any.
        repeats: it may be given several times.
        variable: environment variable that does the same; empty: there is none.
        name: of its value; empty: that of the option.
    """

    flags: tuple[str, ...]
    help: str
    default: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    repeats: bool = False
    variable: str = ""
    name: str = ""

    @property
    def key(self) -> str:
        """Name of its value: that of the setting, where it is one."""
        return self.name or self.flags[0].removeprefix("--").replace("-", "_")

    def described(self) -> str:
        """What the help says of it."""
        notes = [f"default: {self.default}" if self.default else "required"]
        notes += [f"env: {self.variable}"] if self.variable else []
        notes += ["may be repeated"] if self.repeats else []
        return f"{self.help} [{'; '.join(notes)}]".replace("%", "%%")


@dataclass(frozen=True, slots=True)
class Command:
    """One command of the command line.

    Attributes:
        name: as it is called.
        description: what the help says first.
        run: does it; takes the values by name of the option, and the paths.
        paths: what its paths are; empty: it takes none.
        metavar: what stands for a path.
        paths_optional: it may be called without paths.
        options: its options, in the order of the help.
        examples: command lines, and a word on each.
        notes: last lines of the help.
    """

    name: str
    description: str
    run: Callable[[argparse.Namespace], int]
    paths: str = ""
    metavar: str = "PATH"
    paths_optional: bool = False
    options: tuple[Option, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()
    notes: str = ""


def setting(kind: type[msgspec.Struct], name: str, text: str, metavar: str, *, default: str = "") -> Option:
    """An option that is the setting `name` of a struct.

    Args:
        kind: struct of the settings.
        name: of the field.
        text: what it does.
        metavar: what stands for its value, or the values separated by `|`.
        default: what the default means, where its value does not say it.
    """
    field = next(item for item in msgspec.structs.fields(kind) if item.name == name)
    value = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    return Option(
        flags=(f"--{name.replace('_', '-')}", *(("-o",) if name == "output" else ())),
        help=text,
        default=default or value,
        metavar="" if "|" in metavar else metavar,
        choices=tuple(metavar.split("|")) if "|" in metavar else (),
        repeats=name in LISTS,
        variable=f"{ENVIRONMENT_PREFIX}{name.upper()}",
    )


#: What the paths of every command are.
PATHS = "File or directory of manifests; - for standard input."

CONFIG = Option(("--config",), "Settings file (TOML).", "none", "PATH", variable=f"{ENVIRONMENT_PREFIX}CONFIG")


def parse(command: Command, arguments: Sequence[str]) -> argparse.Namespace:
    """Read the arguments of a command.

    Raises:
        SystemExit: after `--help` (0), and for arguments that cannot be used (2).
    """
    parser = parser_of(command)
    given = parser.parse_intermixed_args(list(arguments))
    missing = [item.flags[0] for item in command.options if not item.default and getattr(given, item.key) is None]
    if missing:
        parser.error(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} required")
    if command.paths and not command.paths_optional and not given.paths:
        parser.error(f"no {command.metavar} is given: {command.paths[0].lower()}{command.paths[1:].rstrip('.')}")
    return given


def parser_of(command: Command) -> argparse.ArgumentParser:
    """The parser of one command."""
    name = command.metavar
    more = "..." if name == "PATH" else ""
    paths = "" if not command.paths else f" [{name}{more}]" if command.paths_optional else f" {name}{more}"
    parser = _Parser(
        prog=f"sluicegate {command.name}",
        usage=f"sluicegate {command.name} [options]{paths}",
        description=command.description,
        epilog=_epilog(command),
        formatter_class=_Formatter,
        add_help=False,
        allow_abbrev=False,
    )
    if command.paths:
        group = parser.add_argument_group("arguments")
        group.add_argument("paths", nargs="*", metavar=name, help=command.paths)
    group = parser.add_argument_group("options")
    for option in command.options:
        _add(group, option)
    group.add_argument("-h", "--help", action="help", help="Show this and exit.")
    return parser


def _add(group: argparse._ArgumentGroup, option: Option) -> None:
    flags = option.flags[::-1]  # the short one first, as everywhere
    if not option.metavar and not option.choices:
        group.add_argument(*flags, dest=option.key, action="store_true", default=None, help=option.described())
        return
    group.add_argument(
        *flags,
        dest=option.key,
        action="append" if option.repeats else "store",
        choices=option.choices or None,
        # Settings stay open: a variable or the file may have them.
        default=option.default if option.default in option.choices and not option.variable else None,
        metavar=option.metavar or "|".join(option.choices),
        help=option.described(),
    )


def _epilog(command: Command) -> str:
    lines: list[str] = []
    if command.examples:
        lines += ["examples:", *(f"  {line}\n      {meaning}" for line, meaning in command.examples)]
    if command.notes:
        lines += ["", command.notes] if lines else [command.notes]
    return "\n".join(lines)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in our words, and where the help is."""

    def error(self, message: str) -> NoReturn:
        name, colon, rest = message.partition(": ")
        if name == "unrecognized arguments" and colon:
            word = rest.split()[0].partition("=")[0]
            message = f"there is no option {rest}{suggestion(word, self._option_string_actions)}"
        sys.stderr.write(f"error: {message}\n{self.prog} --help shows how it is called\n")
        raise SystemExit(ExitStatus.USAGE)


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Options as `-o, --output text|json`, descriptions in one column, whatever the version of Python."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=COLUMN)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings:
            return str(action.metavar)
        value = f" {action.metavar}" if action.metavar else ""
        return ", ".join(action.option_strings) + value
