"""Exit statuses of every command, in one table; `docs/commands.md` shows it."""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DIFFERENT = 3
    INTERRUPTED = 130
    UNREAD = 141


#: What each means.
MEANINGS = {
    ExitStatus.OK: "what was asked for was done. `check`: nothing that `--fail-on` names. `explain`: the request is "
    "forwarded, redirected or a preflight. `serve`, `controller`, `gateway`: SIGTERM or Ctrl-C, and all is drained",
    ExitStatus.FAILED: "`check`: problems. `explain`: the request is answered with an error, the connection closed. "
    "`status`: something is not accepted or programmed, or cannot be read. `translate`, `diff`, `graph`: a manifest "
    "cannot be read. `migrate`: the same, there is no Ingress, or (`--verify`) an answer differs and nothing says so, "
    "or there is no model to ask. `serve`: less would be served than is named (without `--keep-going`). `controller`: "
    "the admin port is taken. `top`: the gateway does not answer, or no more. "
    "With `--kubernetes`: the cluster does not answer, or may not be read",
    ExitStatus.USAGE: "a command line, a setting, or a path that is named cannot be used; `controller`, and "
    "whatever has `--kubernetes`: no API server is configured. Nothing was done",
    ExitStatus.DIFFERENT: "`migrate`: all could be read, and something is lost or different; the report says what. "
    "`diff`: all could be read, and some request is answered otherwise",
    ExitStatus.INTERRUPTED: "a second SIGTERM or Ctrl-C: open requests were cut",
    ExitStatus.UNREAD: "who reads what is written, such as `head`, ended before all of it was",
}

#: The commands of `CASES`, in its order.
CASE_COMMANDS = ("serve", "check", "explain", "status", "translate")
#: What they are given, and how each ends; `explain` is asked for a request that the good manifests forward, and `serve`
#: is ended by SIGTERM. It ends with 1 where a path is not there: that may come, and `--keep-going` waits for it.
CASES: dict[str, tuple[int, int, int, int, int]] = {
    "an option that there is not": (2, 2, 2, 2, 2),
    "a setting that cannot be used": (2, 2, 2, 2, 2),
    "no path": (2, 2, 2, 2, 2),
    "a path that is not there": (1, 2, 2, 2, 2),
    "a path that is not there, beside good manifests": (1, 2, 2, 2, 2),
    "a directory without manifests": (1, 1, 1, 1, 1),
    "a file without objects": (1, 1, 1, 1, 1),
    "only objects of kinds that the gateway does not read": (1, 0, 1, 0, 0),
    "only files of other programs, such as `values.yaml`": (1, 0, 1, 0, 0),
    "a file that is no YAML, beside good manifests": (0, 1, 0, 1, 1),
    "good manifests": (0, 0, 0, 0, 0),
    "good manifests, of which there is a warning": (0, 0, 0, 0, 0),
    "the same with `--fail-on warning`, of `check`": (2, 1, 2, 2, 2),
    "manifests of which there is an error, beside good ones": (0, 1, 0, 1, 0),
}
