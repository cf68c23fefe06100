"""The library `cel` without its command line.

`cel/__init__.py` loads `cel.cli`, and with it rich, typer and prompt_toolkit: 16 MiB and 250 modules that a gateway
would keep for as long as it serves. While the package is loaded an empty module stands for it; whoever imports
`cel.cli` later gets the real one.
"""

from __future__ import annotations

import sys
from types import ModuleType

_CLI = "cel.cli"
_is_loaded = _CLI in sys.modules
sys.modules.setdefault(_CLI, ModuleType(_CLI))
try:
    import cel
    from cel import stdlib
finally:
    if not _is_loaded:
        del sys.modules[_CLI]
        if (_loaded := sys.modules.get("cel")) is not None:
            vars(_loaded).pop("cli", None)

__all__ = ["cel", "stdlib"]
