"""Documentation that lists what the code has lists all of it, as the code has it."""

from __future__ import annotations

import math
import re
import subprocess
from pathlib import Path
from typing import Any, cast, get_args

import msgspec

from sluicegate.cli.application import COMMANDS, command
from sluicegate.controller.api import Code
from sluicegate.controller.sources.kubernetes.client import Client
from sluicegate.engine.limits import EngineLimits
from sluicegate.engine.native import Engine
from sluicegate.observe.log import Log
from sluicegate.processes.controller import role
from sluicegate.processes.controller.metrics import STAGES
from sluicegate.processes.controller.settings import ControllerSettings, load_controller_settings
from sluicegate.processes.settings import LISTS, GatewaySettings, Settings, load_gateway_settings

ROOT = Path(__file__).parents[2]
CORE = ROOT / "native" / "core" / "src"


def document(name: str, section: str = "") -> str:
    """A document, or what stands under one of its headings of the second level."""
    text = (ROOT / "docs" / name).read_text()
    if not section:
        return text
    parts = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    return parts[section]


def rows(text: str, columns: int) -> list[tuple[str, ...]]:
    """Rows of the tables with so many columns whose first cell is a literal; backquotes are taken off."""
    found = []
    for line in text.splitlines():
        cells = tuple(cell.strip().strip("`") for cell in line.strip().strip("|").split("|"))
        if line.startswith("| `") and len(cells) == columns:
            found.append(cells)
    return found


def options(name: str) -> set[str]:
    """Options of a command, by their long names."""
    return {item.flags[0] for item in command(name).options}


class Asked(dict[str, str]):
    """An environment without a variable that notes which were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default


def variables(text: str, *sources: str) -> tuple[set[str], set[str]]:
    """Variables that a text shows, and those of gRPC that files set where they are not."""
    shown = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text))
    stream = [(ROOT / name).read_text() for name in sources]
    return shown, {name for source in stream for name in re.findall(r'environ\.setdefault\("(\w+)"', source)}


RECORDS = {"access_record.rs": "Record", "l4.rs": "L4Record"}


def test_every_field_of_the_access_log_is_documented() -> None:
    """One table for requests, one for connections and sessions, in this order."""
    text = document("access-log.md")
    tables = [table for table in text.split("\n\n") if table.startswith("| field |")]
    for (file, name), table in zip(RECORDS.items(), tables, strict=True):
        source = (CORE / "observe" / file).read_text()
        record = source[source.index(f"pub struct {name}<") :]
        fields = re.findall(r"pub (\w+):", record[: record.index("\n}")])
        documented = [field for row in table.splitlines() for field in re.findall(r"`(\w+)`", row.split("|")[1])]
        assert sorted(fields) == sorted(documented), file


def test_every_code_of_a_diagnostic_is_documented_and_used() -> None:
    codes = get_args(Code)
    assert [code for code, _ in rows(document("diagnostics.md"), 2)] == list(codes)
    assert len(set(codes)) == len(codes)
    folders = (ROOT / "controller", ROOT / "python" / "sluicegate")
    sources = [path.read_text() for folder in folders for path in folder.rglob("*.py") if path.name != "diagnostic.py"]
    assert [code for code in codes if not any(f'"{code}"' in source for source in sources)] == []


def test_every_setting_is_documented_with_its_default() -> None:
    table = {cells[2]: cells for cells in rows(document("settings.md", "`sluicegate serve`"), 5)}
    assert table.keys() == {*Settings.__struct_fields__} - {"engine"}
    for option, variable, name, default, meaning in table.values():
        assert variable == f"SLUICEGATE_{name.upper()}"
        assert option in options("serve")
        value = getattr(Settings(), name)
        if value and value != ():
            assert default == (f"{value:g}" if isinstance(value, float) else str(value))
        assert bool(re.search(r"\ba list\b", meaning)) == (name in LISTS)


def test_every_option_of_serve_is_documented() -> None:
    text = document("settings.md", "`sluicegate serve`")
    assert [item for item in options("serve") if f"`{item}`" not in text and f"`{item} PATH`" not in text] == []


def test_every_setting_of_the_controller_is_documented() -> None:
    text, environment = document("settings.md", "`sluicegate controller`"), Asked()
    load_controller_settings({}, environment, "1")
    table = {cells[0].removeprefix("--").replace("-", "_"): cells for cells in rows(text, 4)}
    assert table.keys() == {*ControllerSettings.__struct_fields__} - {"pod"}
    assert {cells[0] for cells in table.values()} == options("controller")
    for name, (_, variable, default, _) in table.items():
        assert variable == f"SLUICEGATE_{name.upper()}"
        value = getattr(ControllerSettings(), name)
        shown = f"{value:g}" if isinstance(value, float) else "" if value == () else str(value)
        assert shown in default or default == shown.lower()
    shown, of_grpc = variables(text, "controller/stream/transport.py")
    assert shown == environment.names | of_grpc


def test_every_setting_of_a_data_plane_is_documented() -> None:
    text, environment = document("settings.md", "`sluicegate gateway`"), Asked()
    load_gateway_settings({}, environment)
    table = {cells[0]: cells for cells in rows(text, 5)}
    assert table.keys() == {*GatewaySettings.__struct_fields__} - {"engine"}
    assert {cells[0] for cells in rows(text, 2)} | {cells[1] for cells in table.values()} == options("gateway")
    for name, (_, option, variable, default, _) in table.items():
        assert option == f"--{name.replace('_', '-')}"
        assert variable == f"SLUICEGATE_{name.upper()}"
        value = getattr(GatewaySettings(), name)
        assert default == (f"{value:g}" if isinstance(value, float) else str(value))
    shown, _ = variables(text, "python/sluicegate/dataplane/client.py")
    assert shown == environment.names


def test_every_setting_of_the_engine_is_documented() -> None:
    """Names and defaults are the engine's, limits are those that hold."""
    source = (CORE / "settings.rs").read_text()
    body = source[source.index("impl Default for Settings") :]
    defaults = {
        name: math.prod(map(int, value.split("*")))
        for name, value in re.findall(r"(\w+): ([\d_ *]+),", body[: body.index("impl Settings")])
    }
    del defaults["workers"]
    # Room for every stream's window, unless somebody says otherwise.
    assert "http2_connection_window: None," in body
    defaults["http2_connection_window"] = defaults["http2_max_streams"] * defaults["http2_stream_window"]
    table = rows(document("settings.md"), 5)
    documented = {
        cells[0]: tuple(map(int, cells[1:4])) for cells in table if cells[0] in EngineLimits.__struct_fields__
    }
    assert {name: cells[0] for name, cells in documented.items()} == defaults
    assert {*documented, "path_normalization", "trusted_proxies"} == {*EngineLimits.__struct_fields__}
    for name, (default, least, most) in documented.items():
        for value, fine in ((default, True), (least, True), (most, True), (least - 1, False), (most + 1, False)):
            assert accepts(name, value) is fine, (name, value)


def accepts(name: str, value: int) -> bool:
    try:
        msgspec.convert({name: value}, EngineLimits)
    except msgspec.ValidationError:
        return False
    return True


def test_every_metric_is_documented() -> None:
    engine = Engine({"workers": 1})
    try:
        metrics = re.findall(r"^# TYPE (\w+) (\w+)$", engine.metrics(), re.MULTILINE)
    finally:
        engine.shutdown()
    assert len(metrics) > 20
    assert metrics == [cells[:2] for cells in rows(document("metrics.md", "What serves"), 4)]


def test_every_metric_of_the_controller_is_documented() -> None:
    settings = load_controller_settings({}, {}, "1")
    metrics = role.Controller(cast("Client", None), settings, Log("text"), "1").metrics.text().decode()
    documented = rows(document("metrics.md", "The controller"), 4)
    assert re.findall(r"^# TYPE (\w+) (\w+)$", metrics, re.MULTILINE) == [cells[:2] for cells in documented]
    for name, _, labels, _ in documented:
        found = set(re.findall(rf"^{name}\w*{{(.*)}} ", metrics, re.MULTILINE))
        used = {label for series in found for label in re.findall(r'(\w+)="', series)}
        # Nothing is connected here.
        assert not found or used == set(re.findall(r"\w+", labels)), name


def test_every_error_is_documented() -> None:
    source = (CORE / "error.rs").read_text()
    sides = {"Downstream": "client", "Upstream": "backend", "Internal": "gateway"}
    errors = re.findall(r'^    \w+ = "(\w+)", (\d+), (\w+), "([^"]+)";', source, re.MULTILINE)
    assert [(code, status, sides[side], meaning) for code, status, side, meaning in errors] == rows(
        document("errors.md"), 4
    )
    used = "\n".join(path.read_text() for path in CORE.rglob("*.rs") if path.name != "error.rs")
    variants = re.findall(r'^    (\w+) = "\w+", \d+', source, re.MULTILINE)
    assert [name for name in variants if f"ErrorCode::{name}" not in used] == []


def test_the_readme_shows_commands_that_exist() -> None:
    shown = set(re.findall(r"^\| `sluicegate (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE))
    assert shown <= COMMANDS.keys()
    assert {"serve", "check", "explain", "translate"} <= shown


def test_every_stage_of_an_exception_is_documented() -> None:
    line = next(
        line for line in document("metrics.md").splitlines() if "sluicegate_controller_exceptions_total" in line
    )
    assert set(re.findall(r"`([a-z]+)`", line)) - {"stage"} == set(STAGES)


#: Where the paths of CONTRIBUTING.md begin.
PACKAGE = ROOT / "python" / "sluicegate"
PLACES = (ROOT, CORE, ROOT / "controller", PACKAGE, PACKAGE / "cli" / "page")


def alternatives(path: str) -> list[str]:
    """What a path with `{a,b}` stands for."""
    found = re.search(r"\{([^}]+)\}", path)
    if found is None:
        return [path]
    return [
        whole
        for item in found[1].split(",")
        for whole in alternatives(path[: found.start()] + item + path[found.end() :])
    ]


def test_the_places_where_something_is_changed_are_there() -> None:
    """Paths of CONTRIBUTING.md; a bare name is in the folder of one before it, `...` stands for the way to it."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = text[text.index("## To change X") : text.index("## Benchmarks")].splitlines()
    seen, missing = 0, []
    for line in lines:
        folders: list[Path] = []
        for word in re.findall(r"`((?:\.\.\./)?[\w{},-]+(?:[./][\w{},-]+)+/?)`", line if line.startswith("|") else ""):
            for path in alternatives(word):
                if path.startswith(".../"):
                    found = [*(ROOT / "native").rglob(path.removeprefix(".../"))]
                else:
                    found = [place / path for place in (*PLACES, *folders) if (place / path).exists()]
                if not found and re.search(r"/|\.(rs|py|md|yaml|proto)$", path):
                    missing.append((path, line))
                folders += [item if item.is_dir() else item.parent for item in found]
                seen += bool(found)
    assert missing == []
    assert seen > 120


#: Paths of files and folders, as ARCHITECTURE.md has them.
NAMED = re.compile(r"`([\w.{},-]+(?:/[\w.{},-]+)*(?:\.(?:rs|py|md|ya?ml|json|proto|toml|sh)|/))`")


def test_the_files_that_the_architecture_names_are_there() -> None:
    """A path may leave out where it begins, so long as some file or folder of the project ends so."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    whole = {f"/{path}" for path in listed}
    folders = {f"{parent}/" for path in whole for parent in map(str, Path(path).parents)}
    named = {path for word in NAMED.findall((ROOT / "ARCHITECTURE.md").read_text()) for path in alternatives(word)}
    assert len(named) > 80
    assert [name for name in sorted(named) if not any(path.endswith(f"/{name}") for path in whole | folders)] == []
