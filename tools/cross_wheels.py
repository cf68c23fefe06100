"""Wheels for other platforms than this machine's: aarch64, and musl (Alpine).

    python tools/cross_wheels.py [TARGET...]

zig, a package of PyPI, is the C compiler and the linker for all of them. Rust needs its standard library for the target
besides: `rustup target add TARGET`. Where Rust is a distribution's, the library is compiled from the distribution's
package of its source (Debian: `rust-src`); Cargo's way of doing so is not stable, so what is published is built where
`rustup` is (`.github/workflows/ci.yml`). Wheels go to dist/; `tools/try_installed.py` tries one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
#: Targets of Rust, and the oldest C library that a wheel runs with.
PLATFORMS = {
    "x86_64-unknown-linux-gnu": "manylinux_2_28",
    "aarch64-unknown-linux-gnu": "manylinux_2_28",
    "x86_64-unknown-linux-musl": "musllinux_1_2",
    "aarch64-unknown-linux-musl": "musllinux_1_2",
}
#: Seconds for one wheel: Rust's library and everything else, on one slow core.
LIMIT = 3600
LIBRARY = "sluicegate/_native.abi3.so"


class CrossError(RuntimeError):
    """A wheel cannot be built, or would not work; the message says why."""


def main(targets: Sequence[str]) -> int:
    try:
        for target in targets or PLATFORMS:
            began = time.monotonic()
            wheel = build(target)
            look(wheel, target)
            size = wheel.stat().st_size / 1e6
            print(f"{wheel.relative_to(ROOT)}: {size:.1f} MB, {time.monotonic() - began:.0f} s")
    except (CrossError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def build(target: str) -> Path:
    """Build one wheel; returns its path.

    Raises:
        CrossError: the target is none of ours, or Rust cannot compile for it.
        subprocess.SubprocessError: it cannot be built.
    """
    if target not in PLATFORMS:
        raise CrossError(f"{target}: choose among {', '.join(PLATFORMS)}")
    options, environment = standard_library(target)
    maturin = Path(sys.executable).with_name("maturin")
    DIST.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DIST) as folder:
        command = [maturin, "build", "--release", "--locked", "--zig", "--target", target, *options]
        command += ["--compatibility", PLATFORMS[target], "--out", folder]
        # zig is found as a module of the `python3` that is first on the path.
        environment["PATH"] = f"{maturin.parent}:{os.environ['PATH']}"
        subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, check=True, timeout=LIMIT)
        [wheel] = Path(folder).glob("*.whl")
        return wheel.rename(DIST / wheel.name)


def standard_library(target: str) -> tuple[list[str], dict[str, str]]:
    """What maturin and its environment need so that Rust has its library for a target.

    Raises:
        CrossError: there is neither the library nor its source.
    """
    command = ["rustc", "--print", "sysroot"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=LIMIT)
    libraries = Path(found.stdout.strip()) / "lib" / "rustlib"
    if list(libraries.glob(f"{target}/lib/libstd-*.rlib")):
        return [], {}
    if (libraries / "src" / "rust" / "library" / "std" / "Cargo.toml").is_file():
        return ["-Z", "build-std=std,panic_unwind"], {"RUSTC_BOOTSTRAP": "1"}
    raise CrossError(
        f"{target}: Rust has no standard library for it here. Where there is rustup: `rustup target add {target}`. "
        "Where Rust is the distribution's: its package with the source of the library (Debian: rust-src)"
    )


def look(wheel: Path, target: str) -> None:
    """Whether the library in a wheel can be loaded by a program that runs: musl has no room for static TLS then.

    Raises:
        CrossError: it cannot.
    """
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        command = ["readelf", "--dynamic", "--wide", archive.extract(LIBRARY, folder)]
        dynamic = subprocess.run(command, capture_output=True, text=True, check=True, timeout=LIMIT).stdout
    if target.endswith("-musl") and "STATIC_TLS" in dynamic:
        raise CrossError(f"{wheel}: {LIBRARY} has thread-local variables that are in the program (initial-exec)")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
