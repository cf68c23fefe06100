"""Run the official conformance suite against `sluicegate serve --kubernetes` on the test cluster.

    python tests/conformance/run.py [--version v1.6.3] [--test NAME]

Needs the cluster (`make cluster`) and root. The suite reads `GatewayClass.status.supportedFeatures`: no feature flag,
no skip, no exemption. Its report goes to `tests/conformance/reports/`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cluster"), str(ROOT / "tools")]

from harness.paths import BINARIES, KUBECONFIG, inside, kubectl  # noqa: E402

from go_modules import module  # noqa: E402

REPORTS = Path(__file__).parent / "reports"
VERSIONS = ("v1.6.3", "v1.7.0")
PROFILES = "GATEWAY-HTTP"
#: Addresses that Gateways get; the lower ones serve the static-address test.
POOL = "10.90.0.10-10.90.0.250"
USABLE, UNUSABLE = "10.90.0.5", "10.200.0.1"
LIMIT = 2_400
CLASS = {
    "apiVersion": "gateway.networking.k8s.io/v1",
    "kind": "GatewayClass",
    "metadata": {"name": "sluicegate"},
    "spec": {"controllerName": "sluicegate.dev/controller"},
}
NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sluicegate-system"}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", choices=VERSIONS, default=VERSIONS[-1])
    parser.add_argument("--test", default="", help="one test by its short name, such as HTTPRouteWeight")
    arguments = parser.parse_args()
    install(arguments.version)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "gateway.log"
        gateway = start(log)
        try:
            status = suite(arguments.version, arguments.test)
        finally:
            gateway.send_signal(signal.SIGTERM)
            ended = gateway.wait(30)
        if status or ended:
            print(f"the gateway ended with {ended} and said:\n{log.read_text()[-4000:]}")
    return status or ended


def install(version: str) -> None:
    """Have the CRDs of a version, the class and the namespace, and nothing of a run before."""
    crds = module("sigs.k8s.io/gateway-api", version) / "config" / "crd" / "experimental"
    # The policy of a newer version would not let an older one in.
    policies = "validatingadmissionpolicies,validatingadmissionpolicybindings"
    subprocess.run(kubectl("delete", policies, "--all"), check=True, stdout=subprocess.DEVNULL)
    listed = subprocess.run(kubectl("get", "crd", "-o", "json"), check=True, stdout=subprocess.PIPE).stdout
    mark = "gateway.networking.k8s.io/bundle-version"
    versions = {
        item["metadata"]["name"]: item["metadata"].get("annotations", {}) for item in json.loads(listed)["items"]
    }
    other = [name for name, marks in versions.items() if mark in marks and marks[mark] != version]
    if other:
        subprocess.run(kubectl("delete", "crd", *other), check=True, stdout=subprocess.DEVNULL)
    apply = kubectl("apply", "--server-side", "--force-conflicts", "-k", crds)
    subprocess.run(apply, check=True, stdout=subprocess.DEVNULL)
    wait = kubectl("wait", "--for=condition=Established", "crd/httproutes.gateway.networking.k8s.io", "--timeout=30s")
    subprocess.run(wait, check=True, stdout=subprocess.DEVNULL)
    # Those of a run before may still be going.
    names = [f"gateway-conformance-{name}" for name in ("infra", "app-backend", "web-backend", "mesh")]
    gone = kubectl("delete", "namespace", "--ignore-not-found", "--wait", "--timeout=60s", *names)
    subprocess.run(gone, check=True, stdout=subprocess.DEVNULL)
    objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": [CLASS, NAMESPACE]})
    subprocess.run(kubectl("apply", "-f", "-"), input=objects, text=True, check=True, stdout=subprocess.DEVNULL)


def start(log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sluicegate", "serve", "--kubernetes", "--kubeconfig", str(KUBECONFIG)]
    command += ["--address-pool", POOL, "--admin", "off", "--drain", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(inside(*command), stdout=output, stderr=output)
    deadline = time.monotonic() + 30
    while "leading" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the gateway does not start:\n{log.read_text()}")
        time.sleep(0.1)
    return process


def suite(version: str, test: str) -> int:
    REPORTS.mkdir(exist_ok=True)
    report = REPORTS / f"{version}-sluicegate.yaml"
    written = report if not test else Path(tempfile.gettempdir()) / report.name
    command = [BINARIES / f"conformance-{version}.test", "-test.v", "-test.run", "TestConformance"]
    command += ["-gateway-class", "sluicegate", "-conformance-profiles", PROFILES, "-report-output", written]
    command += ["-usable-address", USABLE, "-unusable-address", UNUSABLE, *([f"-run-test={test}"] if test else [])]
    command += ["-organization", "sluicegate", "-project", "sluicegate", "-version", project_version()]
    command += ["-url", "https://github.com/sluicegate/sluicegate", "-contact", "@sluicegate/maintainers"]
    written.unlink(missing_ok=True)
    started = time.monotonic()
    process = subprocess.Popen(
        inside("env", f"KUBECONFIG={KUBECONFIG}", *command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.lstrip().startswith(("--- FAIL", "--- PASS", "--- SKIP")) and line.count("/") <= 1:
            print(f"{time.monotonic() - started:6.0f} s {line.strip()}", flush=True)
    status = process.wait(LIMIT)
    if status:
        print("".join(lines[-200:]))
    profiles = yaml.safe_load(written.read_text()).get("profiles") if written.exists() else None
    for profile in profiles or []:
        print(profile["name"], json.dumps({key: profile[key] for key in ("core", "extended") if key in profile}))
    verdict = "passed" if status == 0 else "failed"
    print(f"{version}: {verdict} after {time.monotonic() - started:.0f} s; report: {written}")
    return status


def project_version() -> str:
    command = [sys.executable, "-m", "sluicegate", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
