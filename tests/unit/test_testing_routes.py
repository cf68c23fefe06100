"""The project of docs/testing-routes.md, its policies too, is tested as the page has it."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing-routes.md"


def test_the_project_of_the_page(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"^(?:And )?`([\w/.]+)`:\n\n((?:    .*\n|\n)+)", PAGE.read_text(), re.MULTILINE)
    names = [name for name, _ in blocks]
    assert names == ["manifests/shop.yaml", "tests/test_routes.py", "access/policies.yaml", "tests/test_access.py"]
    for name, block in blocks:
        path = pytester.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(block))
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "tests").assert_outcomes(passed=10)
    # Without the policy who is anonymous is let in, and the tests say so.
    other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: login-keys}\n"
    (pytester.path / "access" / "policies.yaml").write_text(other)
    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", "tests").parseoutcomes()
    assert found == {"passed": 4, "failed": 6}
