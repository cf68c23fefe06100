"""The guides of the move: their commands are commands, and those of files do what the text says.

Those of a cluster are run by `tests/cluster/test_move.py`.
"""

from __future__ import annotations

import itertools
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from system_certificates import Authority
from system_manifests import dump, secret
from test_deploy import charted

from sluicegate.cli.application import command as loaded
from sluicegate.cli.options import parse

ROOT = Path(__file__).parents[2]
PAGES = ("docs/migration.md", "docs/migration/move.md", "docs/migration/serving.md")


def written(tool: str) -> list[str]:
    """Commands of the pages: of blocks, with their next lines, and within sentences."""
    found: list[str] = []
    for page in PAGES:
        text = re.sub(r"\\\n\s+", "", (ROOT / page).read_text())
        found += re.findall(rf"^    (?:\$ )?({tool} .*)$", text, re.MULTILINE)
        found += re.findall(rf"`({tool} [^`]*)`", text)
    return found


#: What is left of a command that only names one, such as `sluicegate migrate PATH...`.
WHOLE = [line for line in written("sluicegate") if not line.endswith(("...", "migrate"))]


@pytest.mark.parametrize("line", WHOLE)
def test_commands_are_commands(line: str) -> None:
    """Every option is one, with a value that it takes."""
    _, name, *arguments = shlex.split(line.partition(" >")[0])
    parse(loaded(name), arguments)


def test_there_are_commands() -> None:
    assert len(WHOLE) >= 8


@pytest.mark.parametrize("line", written("helm"))
def test_the_chart_takes_the_values(line: str) -> None:
    """`values.schema.json` refuses others."""
    words = shlex.split(line)
    values = [word for flag, value in itertools.pairwise(words) if flag == "--set" for word in (flag, value)]
    objects = charted(*values)
    assert objects
    if "ingress.status=false" in values and any("classes" in value for value in values):
        assert "--no-ingress-status" in yaml.safe_dump(objects)


#: What a team has in its repository: Ingresses, Services, the settings of the controller.
MANIFESTS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  namespace: shop
  annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "120"}
spec:
  ingressClassName: nginx
  tls: [{hosts: [shop.example.com], secretName: shop-tls}]
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: cart, port: {name: http}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: ingress-nginx-controller, namespace: ingress-nginx}
data: {proxy-body-size: 8m}
"""


def test_files_are_moved_as_the_page_says(tmp_path: Path) -> None:
    """Convert with proof, check for a cluster, explain what matters: in a shell, as written."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "shop.yaml").write_text(MANIFESTS)
    pair = Authority().sign("shop.example.com")
    (tmp_path / "manifests" / "secret.yaml").write_text(dump(secret("shop-tls", pair.certificate, pair.key, "shop")))
    program = tmp_path / "bin" / "sluicegate"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m sluicegate "$@"\n')
    program.chmod(0o755)
    section = (ROOT / "docs" / "migration.md").read_text().partition("## A move")[2].partition("\n## ")[0]
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    done = [
        subprocess.run(
            line,
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        for line in re.findall(r"^ {5,}(sluicegate .*)$", section, re.MULTILINE)
    ]
    migrate, check, explain = done
    assert migrate.returncode in {0, 3}, migrate.stderr
    assert ", 0 otherwise and not told" in migrate.stderr
    manifests = list(yaml.safe_load_all((tmp_path / "gateway.yaml").read_text()))
    assert {"HTTPRoute", "Gateway"} <= {item["kind"] for item in manifests}
    assert "8Mi" in (tmp_path / "gateway.yaml").read_text()
    assert check.returncode == 0, check.stdout
    assert explain.returncode == 1, explain.stdout  # a Service of a cluster has no endpoints in files
    assert "shop/cart:8080" in explain.stdout
