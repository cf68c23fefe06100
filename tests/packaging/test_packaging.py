"""The distribution: what is in the sdist and the wheel, and that a wheel built from the sdist works without Rust."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
import textwrap
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 900
#: Symbolic links: in a wheel, and in the sdist, what they lead to has their place.
LINKS = ("python/sluicegate/controller", "python/sluicegate/testing/quickstart")
#: Built here, not part of the source.
BUILT = (".so", ".pyc")


def package_files() -> set[str]:
    """What the package consists of, as paths in a wheel."""
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = set()
    for name in filter(None, tracked.split("\0")):
        if name.startswith("python/") and name not in LINKS:
            files.add(name.removeprefix("python/"))
        elif name.startswith("controller/"):
            files.add(f"sluicegate/{name}")
        elif name.startswith("examples/quickstart/"):
            files.add(f"sluicegate/testing/{name.removeprefix('examples/')}")
    return files


def vendored_files() -> set[str]:
    """What stands in for published crates, as paths in the tree."""
    command = ["git", "ls-files", "-z", "native/vendor"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return set(filter(None, tracked.split("\0")))


def test_the_wheel_has_the_licences_of_what_it_has_changed(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = {name.partition(".dist-info/licenses/")[2] for name in archive.namelist()}
    copied = {name for name in vendored_files() if Path(name).name.startswith("LICENSE")}
    assert len(copied) == 2
    assert names >= {"LICENSE", *copied}


def test_the_wheel_has_what_the_tree_has(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[1]) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")}
    native = {name for name in names if name.endswith(BUILT)}
    assert names - native == package_files()
    assert native == {"sluicegate/_native.abi3.so"}
    assert "-cp311-abi3-" in built[1].name


def test_the_sdist_has_its_licence_and_sources(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "Cargo.lock", "pyproject.toml", "native/core/Cargo.toml"} <= names
    assert {name for name in names if name.startswith("native/vendor/")} >= vendored_files()
    assert not [name for name in names if name.endswith(BUILT)]


@dataclass(frozen=True)
class Installed:
    """The wheel in a virtual environment that was empty.

    Attributes:
        python: its interpreter.
        environment: variables, without a compiler on the path.
    """

    python: Path
    environment: dict[str, str]

    def pip_install(self, *what: str | Path) -> None:
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
        subprocess.run(command, env=self.environment, check=True, timeout=LIMIT, cwd=self.python.parent)


@pytest.fixture(scope="module")
def installed(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    place = tmp_path_factory.mktemp("clean") / "venv"
    venv.create(place, with_pip=True)
    bare = {
        key: value for key, value in os.environ.items() if not key.startswith(("CARGO", "RUST", "PYTHON", "PYTEST"))
    }
    bare["PATH"] = f"{place / 'bin'}:/usr/bin:/bin"
    assert shutil.which("cargo", path=bare["PATH"]) is None
    found = Installed(place / "bin" / "python", bare)
    found.pip_install(built[1])
    return found


def test_a_clean_machine_serves_the_quickstart(installed: Installed, tmp_path: Path) -> None:
    quickstart = tmp_path / "quickstart"
    shutil.copytree(ROOT / "examples" / "quickstart", quickstart)
    # Ports of this test's own: the quickstart's may be in use.
    backends = quickstart / "backends.yaml"
    backends.write_text(backends.read_text().replace("127.0.0.1", "127.9.9.9"))
    command = [installed.python, "-m", "sluicegate.testing.demo", quickstart, "--", "serve", quickstart]
    command += ["--port-offset", "8000", "--listen", "127.9.9.9", "--admin", "off", "--output", "json"]
    process = subprocess.Popen(command, env=installed.environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["problems"] == []
        curl = ["curl", "--silent", "--header", "Host: www.example.com", "http://127.9.9.9:8080/login"]
        answer = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=20).stdout
        assert answer.startswith("Hello from example-svc")
    finally:
        process.terminate()
        process.stdout.read()
        assert process.wait(20) == 0
        process.stdout.close()


def test_the_demo_needs_nothing_but_the_wheel(installed: Installed, tmp_path: Path) -> None:
    command = [installed.python.with_name("sluicegate"), "demo", "--listen", "127.9.9.8", "--admin", "off"]
    # As in an empty container: no HOME, no locale, no TERM.
    bare = {"PATH": installed.environment["PATH"]}
    process = subprocess.Popen(command, env=bare, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert process.stdout is not None
    try:
        line = next(line for line in process.stdout if line.startswith("Try: "))
        curl = [*shlex.split(line.removeprefix("Try: ")), "--silent", "--show-error"]
        answer = subprocess.run(curl, capture_output=True, text=True, check=True, timeout=20).stdout
        assert answer.startswith("Hello from example-svc")
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 0
        process.stdout.close()


def test_a_project_elsewhere_tests_its_routes(installed: Installed, tmp_path: Path) -> None:
    """As `docs/testing-routes.md` has it: its project, its tests, the fixture of the installed package."""
    text = (ROOT / "docs" / "testing-routes.md").read_text()
    blocks = re.findall(r"^`([\w/.]+)`:\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert [name for name, _ in blocks] == ["manifests/shop.yaml", "tests/test_routes.py"]
    for name, block in blocks:
        path = tmp_path / name
        path.parent.mkdir()
        path.write_text(textwrap.dedent(block))
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["tests"]\n')
    installed.pip_install("pytest")

    def run() -> str:
        command = [installed.python, "-m", "pytest", "-p", "no:cacheprovider"]
        result = subprocess.run(
            command, env=installed.environment, capture_output=True, text=True, timeout=LIMIT, cwd=tmp_path, check=False
        )
        return result.stdout + result.stderr

    assert re.search(r"\b4 passed in ", run())
    manifest = tmp_path / "manifests" / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("value: /cart", "value: /basket"))
    assert re.search(r"\b1 failed, 3 passed in ", run())
    manifest.write_text(manifest.read_text().replace("kind: HTTPRoute", "kind: HttpRoute"))
    told = run()
    assert re.search(r"\b4 errors in ", told)  # the fixture fails, so no test runs
    assert "did you mean HTTPRoute?" in told
