"""The documentation site builds without a warning, and has every page."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

import site_versions
from sluicegate.cli import application

ROOT = Path(__file__).parents[2]
CONFIGURATION = ROOT / "mkdocs.yml"


def pages(entry: Any) -> set[str]:
    """Pages of a part of the navigation."""
    if isinstance(entry, str):
        return {entry}
    parts = entry if isinstance(entry, list) else entry.values()
    return set().union(*map(pages, parts))


def test_the_navigation_has_every_page() -> None:
    docs = ROOT / "docs"
    there = {str(path.relative_to(docs)) for path in docs.rglob("*.md")}
    assert pages(yaml.safe_load(CONFIGURATION.read_text())["nav"]) == there


def test_links_lead_into_the_site_or_to_what_the_repository_has() -> None:
    """A link that leaves the folder of pages works on the code host alone."""
    docs, tree = ROOT / "docs", re.compile(r"https://github\.com/sluicegate/sluicegate/(?:blob|tree)/main/([^#]*)")
    dead, seen = [], 0
    for page in docs.rglob("*.md"):
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            place = tree.match(link)
            if place is None and link.startswith(("http", "#")):
                continue
            target = ROOT / place[1] if place else page.parent / link.partition("#")[0]
            inside = place is not None or target.resolve().is_relative_to(docs)
            seen += 1
            if not (inside and target.exists()):
                dead.append((str(page.relative_to(docs)), link))
    assert dead == []
    assert seen > 200


#: Hosts that pages lead to. A new one is looked at, whether it is the project's own and what is promised there.
HOSTS = {
    *("agentgateway.dev", "doc.traefik.io", "docs.nginx.com", "gateway-api.sigs.k8s.io", "gateway.envoyproxy.io"),
    *("github.com", "img.shields.io", "keepachangelog.com", "kind.sigs.k8s.io", "nginx.org", "pre-commit.com"),
    *("semver.org", "www.contributor-covenant.org", "www.rust-lang.org"),
}
#: What commands and manifests name besides: issuers, identifiers, scripts.
NAMED = {
    "get.k3s.io",
    "json-schema.org",
    "kubernetes.default.svc",
    "sluicegate.dev",
    "token.actions.githubusercontent.com",
}
#: Names that nobody has (RFC 2606, RFC 6761), and this machine.
EXAMPLES = re.compile(
    r"(?:.+\.)?example(?:\.(?:com|org|net))?|(?:.+\.)?(?:localhost|test|internal)|127\.0\.0\.1|localhost"
    r"|prometheus\.monitoring|\.\.\.|\u2026"
)
ADDRESS = re.compile(r"(?P<link>\]\()?(?P<scheme>https?)://(?P<host>[^\s/:?)>'\"`;,{}$*\\]*)(?P<rest>[^\s)>'\"`]*)")


def addresses() -> Iterator[tuple[str, re.Match[str]]]:
    """Every address in the texts of the project, with the file that has it."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    for path in texts:
        for found in ADDRESS.finditer(path.read_text()):
            yield str(path.relative_to(ROOT)), found


def test_links_to_elsewhere_are_encrypted_and_lead_to_hosts_that_are_known() -> None:
    links = [(place, found) for place, found in addresses() if found["link"]]
    assert [(place, found[0]) for place, found in links if found["scheme"] != "https"] == []
    assert {found["host"] for _, found in links} == HOSTS
    assert [(place, found[0]) for place, found in links if re.search(r"[.,;:]$", found["rest"])] == []


def test_addresses_of_examples_are_nobodys() -> None:
    """Who copies a command asks nobody that the page does not mean."""
    hosts = {(place, found["host"]) for place, found in addresses() if not found["link"]}
    strange = {
        (place, host) for place, host in hosts if not EXAMPLES.fullmatch(host) and host not in HOSTS | NAMED | {""}
    }
    assert strange == set()


def test_links_to_code_of_others_name_a_version() -> None:
    """A branch changes, and what a page says of it is then no longer there."""
    other = [(place, found["rest"]) for place, found in addresses() if found["host"] == "github.com"]
    other = [(place, rest) for place, rest in other if not rest.startswith("/sluicegate/sluicegate")]
    loose = [(place, rest) for place, rest in other if re.search(r"/(?:blob|tree)/(?!v\d)", rest)]
    assert loose == []
    assert len(other) > 5


def test_pictures_are_there_in_both_schemes() -> None:
    """What is for one of them is beside its other, and no picture is there that no page shows."""
    shown: set[str] = set()
    for page in (ROOT / "docs").rglob("*.md"):
        names = re.findall(r"!\[[^\]]+\]\((?:\.\./)*pictures/([^)]+)\)", page.read_text())
        for name in names:
            base, _, scheme = name.partition("#only-")
            other = {"light": "dark", "dark": "light"}.get(scheme)
            assert other is None or f"{base.replace(scheme, other)}#only-{other}" in names, (page.name, name)
            shown.add(base)
    assert {path.name for path in (ROOT / "docs" / "pictures").iterdir()} == shown


def test_the_unit_of_systemd_runs_what_there_is() -> None:
    page = (ROOT / "docs" / "start" / "one-node.md").read_text()
    [line] = re.findall(r"^ExecStart=/opt/sluicegate/bin/sluicegate serve /etc/sluicegate (.*)$", page, re.MULTILINE)
    options = {flag for item in application.command("serve").options for flag in item.flags}
    assert set(re.findall(r"--[\w-]+", line)) <= options
    [drain] = re.findall(r"--drain (\d+)", line)
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", page, re.MULTILINE)
    assert int(drain) < int(stop)


def test_the_symptoms_are_answers_that_there_are() -> None:
    errors = (ROOT / "docs" / "errors.md").read_text()
    answers = {(row[1], row[0]) for row in re.findall(r"^\| `(\w+)` \| (\d{3}) \|", errors, re.MULTILINE)}
    page = (ROOT / "docs" / "operate" / "troubleshooting.md").read_text()
    named = set(re.findall(r"\b(\d{3}) `(\w+)`", page))
    assert len(named) > 10
    assert named - answers == set()


def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    """Strict: a link to a page or a heading that is not there is an error."""
    shutil.copy(CONFIGURATION, tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    zensical = Path(sys.executable).with_name("zensical")
    command = [zensical, "build", "--clean", "--strict"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "<h1" in (tmp_path / "build" / "site" / "tasks" / "canary" / "index.html").read_text()
    assert "/canary/" in (tmp_path / "build" / "site" / "tasks" / "index.html").read_text()


def test_which_releases_have_a_folder() -> None:
    tags = ["v0.1.0", "v0.1.10", "v0.1.9", "v0.2.0-rc.1", "latest", "v1.0.0", "v10.0.0"]
    assert site_versions.newest(tags) == {"v0.1": "v0.1.10", "v1.0": "v1.0.0", "v10.0": "v10.0.0"}


def test_a_release_is_built_of_its_tag(tmp_path: Path) -> None:
    """Beside the root, and with its own address."""
    repository, site = tmp_path / "repository", tmp_path / "site"
    (repository / "docs").mkdir(parents=True)
    (repository / "mkdocs.yml").write_text(
        "site_name: Old\nsite_url: https://example.org/docs/\nsite_dir: build/site\n"
    )
    page = repository / "docs" / "index.md"
    page.write_text("# As it was\n")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"], ["tag", "v0.1.0"]):
        subprocess.run([*git, *command], cwd=repository, check=True)
    page.write_text("# As it is\n")
    site.mkdir()
    (site / "index.html").write_text("root")
    site_versions.build(repository, "v0.1.0", "v0.1", site)
    assert "As it was" in (site / "v0.1" / "index.html").read_text()
    assert "https://example.org/docs/v0.1/" in (site / "v0.1" / "sitemap.xml").read_text()
    assert (site / "index.html").read_text() == "root"
