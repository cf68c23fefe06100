"""What pyproject.toml asks for, one requirement a line: of the package, and of the extras that are named.

    python tools/requirements.py [EXTRA...] | pip install --requirement /dev/stdin

pip alone installs dependencies with the package, which has to be built first.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]


def requirements(extras: Sequence[str] = ()) -> list[str]:
    """Return the requirements of the package and of extras.

    Raises:
        KeyError: there is no such extra.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = project["optional-dependencies"]
    return [*project["dependencies"], *(line for extra in extras for line in named[extra])]


if __name__ == "__main__":
    print("\n".join(requirements(sys.argv[1:])))
