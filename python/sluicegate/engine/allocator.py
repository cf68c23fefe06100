"""Settings of the engine's allocator (mimalloc), which it reads when the library is loaded.

With transparent huge pages each two megabytes of which a byte is used count whole: 13 MiB of a data plane with one
route, 20 with 3,000. `MIMALLOC_ALLOW_THP=1` in the environment turns them on again.
"""

from __future__ import annotations

import os

os.environ.setdefault("MIMALLOC_ALLOW_THP", "0")
