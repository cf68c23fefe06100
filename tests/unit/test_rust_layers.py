"""`tools/rust_layers.py` finds what it is there for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the tool reads."""
    for source in (ROOT / "native").glob("*/src"):
        shutil.copytree(source, tmp_path / source.relative_to(ROOT))
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/rust_layers.py", tmp_path / "tools")
    return tmp_path


def look(tree: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, tree / "tools/rust_layers.py"], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_the_data_plane_holds_its_layers(tree: Path) -> None:
    status, said = look(tree)
    assert (status, "no circle" in said) == (0, True), said


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("upstream/balance.rs", "use crate::downstream::serve_flow;", "upstream is below downstream"),
        ("io/fill.rs", "use crate::{error, worker::{Worker, Drain}};", "io is below worker"),
        ("tls/names.rs", "use super::{pem, trust::Trust};", "a circle in core: tls::"),
        ("tls/names.rs", "fn f() { super::trust::provider(); }", "a circle in core: tls::"),
        ("message/body.rs", "use super::super::request::plan;", "message is below request"),
        # What a module hands on is of the file that has it, and so on through the root of the crate.
        ("policy/verdicts.rs", "use super::Running;", "a circle in core: policy::"),
        ("tls/names.rs", "fn f() { crate::inspect_users(); }", "tls is below policy"),
    ],
)
def test_what_breaks_the_order_is_told(tree: Path, path: str, line: str, said: str) -> None:
    file = tree / "native/core/src" / path
    file.write_text(f"{line}\n{file.read_text()}")
    status, output = look(tree)
    assert status == 1
    assert said in output


@pytest.mark.parametrize(
    ("path", "line", "said"),
    [
        ("route/src/policy/field_name.rs", "use super::OwnedFields;", "a circle in route: policy::"),
        ("route/src/table/candidate.rs", "use super::{host, PathTable as Table};", "a circle in route: table::"),
        ("route/src/table/method_pattern.rs", "use crate::table::Candidate;", "a circle in route: table::"),
        ("http1/src/fields.rs", "use crate::buffer;\nuse crate::request;", "a circle in http1: "),
        ("jwt/src/keys.rs", "use crate::jws;", "a circle in jwt: "),
    ],
)
def test_a_circle_of_any_crate_is_told(tree: Path, path: str, line: str, said: str) -> None:
    file = tree / "native" / path
    file.write_text(f"{line}\n{file.read_text()}")
    status, output = look(tree)
    assert (status, said in output) == (1, True), output


@pytest.mark.parametrize(
    "text",
    [
        "// use super::OwnedFields;\n",
        "#[cfg(test)]\nuse super::OwnedFields;\n",
        "#[cfg(test)]\nmod tests {\n    use crate::policy::OwnedFields;\n}\n",
    ],
)
def test_what_is_for_tests_alone_may_use_anything(tree: Path, text: str) -> None:
    file = tree / "native/route/src/policy/field_name.rs"
    code = file.read_text().partition("#[cfg(test)]")[0]
    file.write_text(f"{code}\n{text}")
    assert look(tree)[0] == 0


def test_a_folder_without_a_place_is_told(tree: Path) -> None:
    (tree / "native/core/src/shelf").mkdir()
    (tree / "native/core/src/shelf/mod.rs").write_text("")
    assert look(tree)[0] == 1
