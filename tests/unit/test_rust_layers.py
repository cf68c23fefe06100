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
    shutil.copytree(ROOT / "native/core/src", tmp_path / "native/core/src")
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
        ("tls/names.rs", "use super::{pem, trust::Trust};", "a circle: tls::"),
        ("tls/names.rs", "fn f() { super::trust::provider(); }", "a circle: tls::"),
        ("message/body.rs", "use super::super::request::plan;", "message is below request"),
    ],
)
def test_what_breaks_the_order_is_told(tree: Path, path: str, line: str, said: str) -> None:
    file = tree / "native/core/src" / path
    file.write_text(f"{line}\n{file.read_text()}")
    status, output = look(tree)
    assert status == 1
    assert said in output


def test_a_folder_without_a_place_is_told(tree: Path) -> None:
    (tree / "native/core/src/shelf").mkdir()
    (tree / "native/core/src/shelf/mod.rs").write_text("")
    assert look(tree)[0] == 1
