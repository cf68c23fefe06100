"""`tools/cross_wheels.py` finds Rust's library for a target, and refuses a wheel that musl could not load."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from cross_wheels import LIBRARY, CrossError, build, look, standard_library

TARGET = "aarch64-unknown-linux-musl"


@pytest.fixture
def rust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a rustc that is first on the path has its libraries: there are none."""
    program = tmp_path / "bin" / "rustc"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho {tmp_path}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "lib" / "rustlib"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.touch()


def test_a_library_that_is_there_is_used(rust: Path) -> None:
    touch(rust / TARGET / "lib" / "libstd-0123.rlib")
    touch(rust / "src" / "rust" / "library" / "std" / "Cargo.toml")
    assert standard_library(TARGET) == ([], {})


def test_a_library_that_is_not_there_is_compiled_from_its_source(rust: Path) -> None:
    (rust / TARGET / "lib").mkdir(parents=True)
    touch(rust / "src" / "rust" / "library" / "std" / "Cargo.toml")
    assert standard_library(TARGET) == (["-Z", "build-std=std,panic_unwind"], {"RUSTC_BOOTSTRAP": "1"})


def test_without_either_it_is_said_what_to_install(rust: Path) -> None:
    touch(rust / "x86_64-unknown-linux-gnu" / "lib" / "libstd-0123.rlib")
    with pytest.raises(CrossError, match=f"rustup target add {TARGET}.*rust-src"):
        standard_library(TARGET)


def test_a_target_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(CrossError, match=r"riscv64.*choose among x86_64-unknown-linux-gnu, .*-musl"):
        build("riscv64gc-unknown-linux-gnu")


@pytest.mark.parametrize("target", ["x86_64-unknown-linux-gnu", "x86_64-unknown-linux-musl"])
@pytest.mark.parametrize("model", ["initial-exec", "local-dynamic"])
def test_static_tls_is_refused_for_musl(tmp_path: Path, target: str, model: str) -> None:
    """What mimalloc has by itself: musl ends the import with `initial-exec TLS resolves to dynamic definition`."""
    source, library, wheel = tmp_path / "tls.c", tmp_path / "tls.so", tmp_path / "sluicegate.whl"
    source.write_text("static __thread int heap; int *get(void) { return &heap; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", f"-ftls-model={model}", source, "-o", library], check=True, timeout=60)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(library, LIBRARY)
    if target.endswith("-musl") and model == "initial-exec":
        with pytest.raises(CrossError, match="initial-exec"):
            look(wheel, target)
    else:
        look(wheel, target)
