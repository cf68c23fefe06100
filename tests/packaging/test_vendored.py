"""`tools/vendored.py` finds what it is there for, and the copies are what they say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vendored

VENDOR = Path(__file__).parents[2] / "native" / "vendor"


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A crate as it was published, a copy of it with one line changed, and the patch that says so."""
    crate, copy, patch = tmp_path / "crate", tmp_path / "copy", tmp_path / "copy.patch"
    for folder in (crate, copy):
        (folder / "src" / "deep").mkdir(parents=True)
        (folder / "Cargo.toml").write_text('[package]\nname = "copy"\nversion = "1.0.0"\n')
        (folder / "LICENSE-MIT").write_text("Free\n")
        (folder / "src" / "lib.rs").write_text("mod deep;\n")
        (folder / "src" / "deep" / "mod.rs").write_text("// one\n")
    for name in ("README.md", "CHANGELOG.md", "Cargo.toml.orig"):
        (crate / name).write_text("not copied\n")
    (copy / "README.md").write_text("ours\n")
    (copy / "src" / "deep" / "mod.rs").write_text("// another\n")
    vendored.write(crate, "0123", copy, patch)
    return crate, copy, patch


def test_the_copies_are_the_published_crates_with_their_patches(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing can be had of a registry, that is said; then the patches are in the copies all the same."""
    status, said = vendored.main([]), capsys.readouterr().out
    assert (status, said.startswith("NOT COMPARED")) in {(0, False), (vendored.COULD_NOT, True)}, said
    patches = sorted(VENDOR.glob("*.patch"))
    assert [patch.stem for patch in patches] == [manifest.parent.name for manifest in VENDOR.glob("*/Cargo.toml")]
    for patch in patches:
        taken_out = vendored.git("apply", "--reverse", "--check", patch, folder=patch.with_suffix(""))
        assert taken_out.returncode == 0, taken_out.stderr


def test_a_copy_with_its_patch_is_as_it_should_be(tree: tuple[Path, Path, Path]) -> None:
    assert list(vendored.differences(*tree)) == []
    patch = tree[2].read_text()
    assert patch.startswith("checksum: 0123\n")
    assert patch.count("\ndiff --git") == patch.count("\n+// another\n") == 1


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("src/lib.rs", "mod deep; // changed\n", "copy/src/lib.rs differs"),
        ("src/deep/mod.rs", "// one\n", "copy/src/deep/mod.rs differs"),
        ("src/deep/mod.rs", None, "copy/src/deep/mod.rs is missing"),
        ("LICENSE-MIT", None, "copy/LICENSE-MIT is missing"),
        ("src/more.rs", "", "copy/src/more.rs is no part of it"),
        ("build.rs", "", "copy/build.rs is no part of it"),
    ],
)
def test_what_the_patch_does_not_say_is_told(
    tree: tuple[Path, Path, Path], path: str, content: str | None, said: str
) -> None:
    changed = tree[1] / path
    if content is None:
        changed.unlink()
    else:
        changed.write_text(content)
    [wrong] = vendored.differences(*tree)
    assert wrong.startswith(said)


def test_a_patch_of_another_version_is_told(tree: tuple[Path, Path, Path]) -> None:
    crate, _, _ = tree
    (crate / "src" / "deep" / "mod.rs").write_text("// one of another version\n")
    [wrong] = vendored.differences(*tree)
    assert wrong.startswith("copy.patch does not fit the published crate: ")


@pytest.fixture
def published(tree: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registry has the crate of the tree, under another checksum; gives the folder of copies."""
    crate, copy, patch = tree
    vendor = copy.parent / "vendor"
    vendor.mkdir()
    shutil.move(copy, vendor / "copy")
    shutil.move(patch, vendor / "copy.patch")
    monkeypatch.setattr(vendored, "published", lambda _copy, _folder: (crate, "4567"))
    return vendor


def test_a_crate_that_was_replaced_is_told(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert vendored.main([], published) == 1
    assert "copy.patch is of another crate: checksum: 0123, the registry has 4567" in capsys.readouterr().out
    assert vendored.main(["--write"], published) == 0
    assert vendored.main([], published) == 0


def test_without_a_registry_it_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    monkeypatch.setenv("CARGO_NET_OFFLINE", "true")
    assert vendored.main([]) == vendored.COULD_NOT
    assert capsys.readouterr().out.startswith("NOT COMPARED: the published crate http cannot be had here: error: ")
