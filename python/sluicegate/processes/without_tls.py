"""asyncio without TLS, for a process whose engine has its own: OpenSSL would be 4 MiB for as long as it serves.

asyncio loads `ssl` where it is there. While it is loaded here nothing stands for `ssl`; whoever imports that later gets
the real one, but asyncio makes no TLS connections in this process any more. Where asyncio is loaded already nothing is
changed.
"""

from __future__ import annotations

import sys

if not {"asyncio", "ssl"} & sys.modules.keys():
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]
    modules["ssl"] = None  # an import of it is an ImportError
    try:
        import asyncio  # noqa: F401
    finally:
        del modules["ssl"]
