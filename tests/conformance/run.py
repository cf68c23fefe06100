"""Run the official conformance suite against the installed controller, on the test cluster.

    python tests/conformance/run.py [--version v1.6.3] [--test NAME] [--repeat N] [--third] [--mode node]

Needs the cluster (`make cluster`) and root. The suite reads `GatewayClass.status.supportedFeatures`: no feature flag,
no skip, no exemption. Its report goes to `tests/conformance/reports/`, in the
form that upstream asks for.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "cluster"), str(ROOT / "tools")]

from harness import install  # noqa: E402
from harness.network import inside  # noqa: E402
from harness.paths import BINARIES, KUBECONFIG, kubectl  # noqa: E402

from go_modules import module  # noqa: E402

REPORTS = Path(__file__).parent / "reports"
PROFILES = ("GATEWAY-HTTP", "GATEWAY-GRPC", "GATEWAY-TLS", "GATEWAY-TCP", "GATEWAY-UDP")
#: Addresses that Gateways get in node mode; the lower ones serve the static-address test.
POOL = "10.90.0.10-10.90.0.250"
USABLE, UNUSABLE = "10.90.0.5", "10.200.0.1"
#: Seconds for a whole run, and the last lines of a test that are shown where it fails.
LIMIT, SAID = 2_400, 200
CLASS = """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sluicegate}
spec: {controllerName: sluicegate.dev/controller}
---
apiVersion: v1
kind: Namespace
metadata: {name: sluicegate-system}
"""
#: As the suite's `config.TimeoutConfig` has them (seconds). One is left whole: how long the suite waits for what it
#: removed itself says nothing of a gateway's consistency, and a namespace goes in steps of 5 s of Kubernetes' own.
TIMEOUTS = re.compile(r"^\s+(?!DeleteTimeout)(\w+):\s+(\d+) \* time\.Second,", re.MULTILINE)
#: With `-test.v=test2json` each result comes at once, behind a mark, and not with the last one.
MARK = "\x16"
#: Tests of the suite that run at once. Go takes the number of cores: on two, what only waits holds up what follows.
AT_ONCE = 4
SPEAKS = re.compile(r"^=== (?:RUN|NAME|CONT|PAUSE) +(?P<name>\S+)$")
ENDED = re.compile(r"^ *--- (?P<result>PASS|FAIL|SKIP): (?P<name>\S+) \((?P<seconds>[\d.]+)s\)")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", choices=install.VERSIONS, default=install.VERSIONS[-1])
    parser.add_argument("--test", default="", help="one test by its short name, such as HTTPRouteWeight")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="run so often; the first failure ends it")
    parser.add_argument("--third", action="store_true", help="cut the suite's timeouts to a third")
    parser.add_argument("--mode", choices=("default", "node"), default="default", help="node: serve --kubernetes")
    parser.add_argument("--profiles", default=",".join(PROFILES), help="comma-separated; all five unless given")
    parser.add_argument("--installer", choices=(install.KUSTOMIZE, install.HELM), default=install.KUSTOMIZE)
    parser.add_argument("--log", type=Path, help="keep what the suite and the gateway say in this folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        logs = arguments.log or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        prepare(arguments.version)
        with serving(arguments.mode, arguments.installer, logs):
            for turn in range(1, arguments.repeat + 1):
                if arguments.repeat > 1:
                    print(f"run {turn} of {arguments.repeat}", flush=True)
                status = suite(arguments, logs)
                if status:
                    return status
    return 0


def prepare(version: str) -> None:
    """Have the CRDs of a version, and nothing of a run before."""
    # The suite's namespaces may still be going.
    names = [f"gateway-conformance-{name}" for name in ("infra", "app-backend", "web-backend", "mesh")]
    call(kubectl("delete", "namespace", "--ignore-not-found", "--wait", "--timeout=120s", *names))
    install.crds(version)


@contextmanager
def serving(mode: str, installer: str, logs: Path) -> Iterator[None]:
    """Have the gateway running; on the way out its log is kept."""
    if mode == "node":
        process = start_node(logs / "gateway.log")
        try:
            wait_for_features()
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            ended = process.wait(30)
            if ended:
                raise SystemExit(f"the gateway ended with {ended}:\n{(logs / 'gateway.log').read_text()[-4000:]}")
        return
    install.controller(installer)
    try:
        wait_for_features()
        yield
    finally:
        command = kubectl("logs", "--namespace", install.SYSTEM, install.CONTROLLER, "--all-pods", "--prefix")
        (logs / "gateway.log").write_bytes(subprocess.run(command, capture_output=True, check=False).stdout)


def wait_for_features() -> None:
    """Wait until the class says what the suite is to test."""
    published = "--for=jsonpath={.status.supportedFeatures[0].name}"
    call(kubectl("wait", "gatewayclass/sluicegate", published, "--timeout=60s"))


def start_node(log: Path) -> subprocess.Popen[bytes]:
    """Run `serve --kubernetes` on the node; returns when it leads."""
    call(kubectl("apply", "--server-side", "--force-conflicts", "-k", ROOT / "deploy" / "crds"))
    subprocess.run(kubectl("apply", "-f", "-"), input=CLASS, text=True, check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "sluicegate", "serve", "--kubernetes", "--kubeconfig", str(KUBECONFIG)]
    command += ["--address-pool", POOL, "--admin", "off", "--drain", "1"]
    with log.open("wb") as output:
        process = subprocess.Popen(inside(*command), stdout=output, stderr=output)
    deadline = time.monotonic() + 30
    while "leading" not in log.read_text():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise SystemExit(f"the gateway does not start:\n{log.read_text()}")
        time.sleep(0.1)
    return process


def suite(arguments: argparse.Namespace, logs: Path) -> int:
    """Run the suite once; returns its exit status."""
    version, test = arguments.version, arguments.test
    # What is kept is the run that anybody else would have: everything, on the installed controller, unchanged.
    kept = not test and not arguments.third and arguments.mode == "default" and arguments.profiles == ",".join(PROFILES)
    report = logs / f"{version}-sluicegate.yaml"
    command = [BINARIES / f"conformance-{version}.test", "-test.v=test2json", "-test.run", "TestConformance"]
    command += [f"-test.timeout={LIMIT}s", f"-test.parallel={AT_ONCE}"]
    command += ["-gateway-class", "sluicegate", "-mode", arguments.mode]
    command += ["-conformance-profiles", arguments.profiles, "-report-output", report]
    command += ["-usable-address", USABLE, "-unusable-address", UNUSABLE, *([f"-run-test={test}"] if test else [])]
    command += ["-organization", "sluicegate", "-project", "sluicegate", "-version", project_version()]
    command += ["-url", "https://github.com/sluicegate/sluicegate", "-contact", "@sluicegate/maintainers"]
    if arguments.third:
        options = logs / "options.yaml"
        options.write_text(yaml.safe_dump({"timeoutConfig": a_third(version)}))
        command += ["-conformance-options-file", options]
    report.unlink(missing_ok=True)
    started = time.monotonic()
    failed = follow(inside("env", f"KUBECONFIG={KUBECONFIG}", *command), logs / "suite.log", started)
    if kept and report.exists():
        channel = yaml.safe_load(report.read_text())["gatewayAPIChannel"]
        place = REPORTS / version / "sluicegate" / f"{channel}-{project_version()}-{arguments.mode}-report.yaml"
        place.parent.mkdir(parents=True, exist_ok=True)
        report = shutil.copyfile(report, place)
    summary(report, version, failed, time.monotonic() - started)
    return int(failed is None or bool(failed) or not report.exists())


def follow(command: list[str], log: Path, started: float) -> list[str] | None:
    """Run the suite and print each test as it ends; returns the names of those that failed, None where it broke."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert process.stdout is not None
    said: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=SAID))
    current, failed = "", []
    with log.open("w") as kept:
        for marked in process.stdout:
            line = marked.replace(MARK, "")
            kept.write(line)
            if spoken := SPEAKS.match(line):
                current = spoken["name"]
            elif not (ended := ENDED.match(line)):
                said[current].append(line)
            else:
                name, words = ended["name"], said.pop(ended["name"], ())
                test, depth = name.partition("/")[2], name.count("/")
                # One level down are the tests, further down their parts, which are named where they fail.
                if depth == 1 or ended["result"] == "FAIL":
                    after = f"{time.monotonic() - started:6.0f} s"
                    print(f"{after}  {ended['result']} {name} ({ended['seconds']} s)", flush=True)
                if ended["result"] == "FAIL":
                    print("".join(words), end="", flush=True)
                    failed += [test] if depth == 1 else []
    if process.wait():
        if not failed:
            print("".join(said[current]))
        return failed or None
    return failed


def summary(report: Path, version: str, failed: list[str] | None, seconds: float) -> None:
    """Print what the report says, profile by profile."""
    document = yaml.safe_load(report.read_text()) if report.exists() else {}
    for profile in document.get("profiles") or []:
        parts = []
        for level in ("core", "extended"):
            found = profile.get(level)
            if found:
                count = found.get("statistics", {})
                parts.append(
                    f"{level} {count.get('Passed', 0)} passed, {count.get('Failed', 0)} failed, "
                    f"{count.get('Skipped', 0)} skipped ({found.get('result')})"
                )
        features = profile.get("extended", {})
        missing = features.get("unsupportedFeatures") or []
        print(f"{profile['name']:14} {'; '.join(parts)}")
        if missing:
            print(f"{'':14} not supported: {', '.join(missing)}")
    verdict = "broke off" if failed is None else f"failed: {', '.join(failed)}" if failed else "passed"
    print(f"{version}: {verdict}; {seconds:.0f} s; report: {report if report.exists() else 'none'}", flush=True)


def a_third(version: str) -> dict[str, str]:
    """Every timeout of the suite but that of deletions, cut to a third."""
    source = module("sigs.k8s.io/gateway-api/conformance", version) / "utils" / "config" / "timeout.go"
    found = TIMEOUTS.findall(source.read_text())
    if not found:
        raise SystemExit(f"{source} has no timeouts that this understands")
    return {name[0].lower() + name[1:]: f"{int(seconds) * 1000 // 3}ms" for name, seconds in found}


def project_version() -> str:
    command = [sys.executable, "-m", "sluicegate", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def call(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    os.chdir(ROOT)
    try:
        sys.exit(main())
    except install.InstallError as error:
        sys.exit(str(error))
