"""Whether the lowest versions that pyproject.toml allows work: install them, import everything, check, serve, ask.

    python tools/lowest_versions.py [WHEEL]

Without a wheel Sluicegate is taken from the tree, with the native library that is built there. Everything is installed
into virtual environments below a temporary directory. Those who resolve their own dependencies (constraints of a
company, a distribution) get such versions; a plain `pip install` does not, so no other test does.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from try_installed import try_installed

ROOT = Path(__file__).parents[1]
#: Extras that programs import; the others are tools.
EXTRAS = ("kubernetes", "reference")
#: Seconds for one step. In all it takes half a minute where the packages come quickly.
LIMIT = 300

IMPORT_ALL = """
import importlib, pkgutil, sluicegate
names = [found.name for found in pkgutil.walk_packages(sluicegate.__path__, "sluicegate.")]
names = [name for name in names if name not in ("sluicegate.__main__", "sluicegate.testing.pytest_plugin")]
for name in names:
    importlib.import_module(name)
print(f"{len(names)} modules are imported")
"""

#: The official client has other signatures in each major version: that it can be imported says little.
ASK_AN_API_SERVER = """
import asyncio, json, pathlib, tempfile
from aiohttp import web
from sluicegate.controller.sources.kubernetes.client import Client

async def answer(request):
    return web.json_response({"token": request.headers.get("authorization")})

async def ask():
    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server = f"http://127.0.0.1:{runner.addresses[0][1]}"
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "kubeconfig"
        path.write_text(json.dumps({
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }))
        async with await Client.load(str(path)) as client:
            assert json.loads(await client.get("/version")) == {"token": "Bearer t"}
            async with client.stream("/version", {"watch": "1"}, read_limit=5) as lines:
                assert await lines.readline()
    await runner.cleanup()
    print("an API server is asked")

asyncio.run(ask())
"""


def main(wheel: str | None = None) -> int:
    with tempfile.TemporaryDirectory() as folder:
        installer, place = Path(folder) / "uv", Path(folder) / "lowest"
        for each in (installer, place):
            venv.create(each, with_pip=each is installer)
        run(installer / "bin" / "python", "-m", "pip", "install", "--quiet", "uv")
        python = place / "bin" / "python"
        install = (installer / "bin" / "uv", "pip", "install", "--quiet", "--python", python)
        lowest = (*install, "--resolution", "lowest-direct", "-r", ROOT / "pyproject.toml")
        run(*lowest)
        if wheel is None:
            from_tree(place)
        else:
            run(*install, "--no-deps", Path(wheel).resolve())
        try_installed((python,))
        run(*lowest, *(word for extra in EXTRAS for word in ("--extra", extra)))
        run(installer / "bin" / "uv", "pip", "list", "--python", python)
        run(python, "-c", IMPORT_ALL)
        run(python, "-c", ASK_AN_API_SERVER)
        run(
            python,
            "-m",
            "sluicegate",
            "explain",
            ROOT / "examples" / "quickstart",
            "--request",
            "GET http://www.example.com/login",
        )
    return 0


def from_tree(place: Path) -> None:
    """Have the packages of the tree imported in a virtual environment."""
    [packages] = place.glob("lib/python*/site-packages")
    (packages / "sluicegate.pth").write_text(f"{ROOT / 'python'}\n")


def run(*command: str | Path) -> None:
    """Run in an empty folder: `-c` and `-m` import from where they are started before anything else."""
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run(command, check=True, timeout=LIMIT, cwd=empty)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
