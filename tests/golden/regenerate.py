"""Write the generated files of golden cases: `python tests/golden/regenerate.py --write [area/case ...]`.

Without `--write` it only says which files differ (exit status 1). Read what it wrote before you commit it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import Any

from golden_cases import cases


def main(found: Iterable[Any], description: str) -> int:
    """Run the command over cases that have a name, a path and the files that are expected there."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", help="cases; all where none is given")
    parser.add_argument("--write", action="store_true", help="write the files")
    arguments = parser.parse_args()
    differ = 0
    for case in found:
        if arguments.names and case.name not in arguments.names:
            continue
        for name, text in case.expected_files().items():
            path = case.path / name
            if path.exists() and path.read_text() == text:
                continue
            differ += 1
            print(f"{'written' if arguments.write else 'differs'}: {case.name}/{name}")
            if arguments.write:
                path.write_text(text)
    return 1 if differ and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main(cases(), __doc__))
