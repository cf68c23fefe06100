"""Exit statuses of every command, in one table; `docs/commands.md` shows it."""

from __future__ import annotations

import enum


class ExitStatus(enum.IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


#: What each means.
MEANINGS = {
    ExitStatus.OK: "what was asked for was done. `check`: nothing that `--fail-on` names. `explain`: the request is "
    "forwarded, redirected or a preflight. `serve`, `controller`, `gateway`: SIGTERM or Ctrl-C, and all is drained",
    ExitStatus.FAILED: "`check`: problems. `explain`: the request is answered with an error, the connection closed. "
    "`translate`: a manifest cannot be read. `serve`: nothing would be served (without `--keep-going`). "
    "`controller`: the admin port is taken",
    ExitStatus.USAGE: "a command line, a setting, or a path that is named cannot be used; `controller` and "
    "`serve --kubernetes`: no API server is configured. Nothing was done",
    ExitStatus.INTERRUPTED: "a second SIGTERM or Ctrl-C: open requests were cut",
}
