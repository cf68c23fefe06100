"""The alerts of `deploy/monitoring/rules.yaml` fire when they should, and only then, as Prometheus itself sees it.

`promtool` evaluates them over series of an hour (Debian: package `prometheus`). Without it this is left out, and what
needs none is tested alone.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

RULES = Path(__file__).parents[2] / "deploy" / "monitoring" / "rules.yaml"
PROMTOOL = shutil.which("promtool")
#: Minutes of a test; longer than any alert waits.
MINUTES = 75
POD = 'namespace="shop",pod="edge-1"'
DAY = 86_400


class Case(NamedTuple):
    """When an alert fires.

    Attributes:
        fires: series that make it fire.
        quiet: series that do not.
        labels: of the one alert that fires.
    """

    fires: dict[str, str]
    quiet: dict[str, str]
    labels: dict[str, str]


def grows(by: int) -> str:
    """A counter, by the minute."""
    return f"0+{by}x{MINUTES}"


def stays(value: float) -> str:
    """A gauge."""
    return f"{value:g}x{MINUTES}"


IN_POD = {"namespace": "shop", "pod": "edge-1"}
TRIES = "sluicegate_upstream_requests_total"
ENDS = "certificate_expiry_timestamp_seconds"
AT = 'listener="Gateway/shop/edge/https",secret="shop/tls"'
OF_CERTIFICATE = {"listener": "Gateway/shop/edge/https", "secret": "shop/tls"}


def requests(class_: str) -> str:
    return f'sluicegate_requests_total{{{POD},route="HTTPRoute/shop/cart",class="{class_}"}}'


def tries(address: str, result: str) -> str:
    return f'{TRIES}{{{POD},backend="shop/cart:80",address="{address}",result="{result}"}}'


def served(end: float) -> dict[str, str]:
    """A certificate as a pod shows it."""
    return {f"sluicegate_{ENDS}{{{POD},{AT}}}": stays(end)}


def known(end: float) -> dict[str, str]:
    """The same as the controller has it."""
    return {f"sluicegate_controller_{ENDS}{{{AT}}}": stays(end)}


def of_pod(name: str, fires: str, quiet: str) -> Case:
    """An alert on one figure of each pod."""
    return Case({f"{name}{{{POD}}}": fires}, {f"{name}{{{POD}}}": quiet}, IN_POD)


def of_controller(name: str, fires: str, quiet: str, labels: str = "", **shown: str) -> Case:
    """An alert on one figure of the controller."""
    series = f"sluicegate_controller_{name}{{{labels}}}"
    return Case({series: fires}, {series: quiet}, shown)


CASES = {
    "SluicegateErrors": Case(
        {requests("2xx"): grows(90), requests("5xx"): grows(10)},
        {requests("2xx"): grows(99), requests("5xx"): grows(1)},
        {"namespace": "shop", "route": "HTTPRoute/shop/cart"},
    ),
    "SluicegateConnectFailures": Case(
        {
            f"sluicegate_upstream_connects_total{{{POD}}}": grows(10),
            f"sluicegate_upstream_connect_failures_total{{{POD}}}": grows(5),
        },
        {
            f"sluicegate_upstream_connects_total{{{POD}}}": grows(10),
            f"sluicegate_upstream_connect_failures_total{{{POD}}}": grows(1),
        },
        IN_POD,
    ),
    "SluicegateBackendFails": Case(
        {tries("10.0.0.1:80", "2xx"): grows(90), tries("10.0.0.2:80", "connect"): grows(10)},
        {tries("10.0.0.1:80", "4xx"): grows(90), tries("10.0.0.2:80", "abandoned"): grows(90)},
        {"namespace": "shop", "backend": "shop/cart:80"},
    ),
    "SluicegateEndpointFails": Case(
        {
            tries("10.0.0.1:80", "2xx"): grows(9),
            tries("10.0.0.2:80", "2xx"): grows(3),
            tries("10.0.0.2:80", "timeout"): grows(6),
        },
        {tries("10.0.0.1:80", "2xx"): grows(9), tries("10.0.0.1:80", "5xx"): grows(6)},
        {"namespace": "shop", "backend": "shop/cart:80", "address": "10.0.0.2:80"},
    ),
    "SluicegateEndpointsEjected": of_pod("sluicegate_upstream_ejected_endpoints", stays(1), stays(0)),
    "SluicegateUnusableConfiguration": of_pod("sluicegate_config_unusable", stays(2), stays(0)),
    "SluicegateFaults": Case(
        {
            f"sluicegate_panics_total{{{POD}}}": grows(1),
            f"sluicegate_worker_faults_total{{{POD}}}": stays(0),
            f"sluicegate_config_exceptions_total{{{POD}}}": stays(0),
        },
        {
            f"sluicegate_panics_total{{{POD}}}": stays(5),
            f"sluicegate_worker_faults_total{{{POD}}}": stays(0),
            f"sluicegate_config_exceptions_total{{{POD}}}": stays(0),
        },
        IN_POD,
    ),
    "SluicegateConnectionsRefused": of_pod("sluicegate_accept_failures_total", grows(1), stays(7)),
    "SluicegateDescriptorsRunOut": Case(
        {
            f'process_open_fds{{{POD},instance="a"}}': stays(95),
            f'process_max_fds{{{POD},instance="a"}}': stays(100),
            f'sluicegate_build_info{{{POD},instance="a",version="1"}}': stays(1),
        },
        {
            # Somebody else's process.
            f'process_open_fds{{{POD},instance="b"}}': stays(95),
            f'process_max_fds{{{POD},instance="b"}}': stays(100),
            f'process_open_fds{{{POD},instance="a"}}': stays(50),
            f'process_max_fds{{{POD},instance="a"}}': stays(100),
            f'sluicegate_build_info{{{POD},instance="a",version="1"}}': stays(1),
        },
        IN_POD,
    ),
    "SluicegateVersionsDiffer": Case(
        {
            f'sluicegate_build_info{{{POD},version="0.1.0"}}': stays(1),
            'sluicegate_controller_build_info{version="0.2.0",python="3.11.2"}': stays(1),
        },
        {
            f'sluicegate_build_info{{{POD},version="0.1.0"}}': stays(1),
            'sluicegate_build_info{namespace="shop",pod="edge-2",version="0.1.0"}': stays(1),
            'sluicegate_controller_build_info{version="0.1.0",python="3.11.2"}': stays(1),
        },
        {},
    ),
    "SluicegateServedCertificateEndsSoon": Case(
        # Renewed, and not shown yet.
        {**served(10 * DAY), **known(80 * DAY)},
        # The controller tells it.
        {**served(10 * DAY), **known(10 * DAY)},
        OF_CERTIFICATE,
    ),
    "SluicegateServedCertificateEnds": Case(served(DAY), {**served(DAY), **known(DAY)}, OF_CERTIFICATE),
    "SluicegateAccessLogDropped": of_pod("sluicegate_access_log_dropped_total", grows(1), stays(0)),
    "SluicegateProviderKeysMissing": Case(
        {f'sluicegate_provider_keys{{{POD},source="a/b/keys"}}': stays(0)},
        {f'sluicegate_provider_keys{{{POD},source="a/b/keys"}}': stays(2)},
        {"namespace": "shop", "source": "a/b/keys"},
    ),
    "SluicegateNoLeader": of_controller("leading", stays(0), stays(1)),
    "SluicegateControllerStandsStill": of_controller("faults", stays(1), stays(0), 'pod="c"', pod="c"),
    "SluicegateControllerExceptions": of_controller(
        "exceptions_total", grows(1), stays(3), 'pod="c",stage="watch"', pod="c", stage="watch"
    ),
    "SluicegateUnusableObjects": of_controller("unusable", stays(3), stays(0)),
    "SluicegateNotProvisioned": of_controller("provisioning_failures", stays(1), stays(0)),
    "SluicegateWritesWait": of_controller("queue_depth", stays(4), stays(0), 'writer="status"', writer="status"),
    "SluicegateCertificateEndsSoon": Case(known(10 * DAY), known(80 * DAY), OF_CERTIFICATE),
    "SluicegateCertificateEnds": Case(known(DAY), known(10 * DAY), OF_CERTIFICATE),
}


def spec() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(RULES.read_text())["spec"]
    return found


def severities() -> dict[str, str]:
    return {rule["alert"]: rule["labels"]["severity"] for group in spec()["groups"] for rule in group["rules"]}


def test_every_alert_has_a_case() -> None:
    assert severities().keys() == CASES.keys()


def expected(alert: str) -> list[dict[str, Any]]:
    labels = {"alertname": alert, "alertstate": "firing", "severity": severities()[alert], **CASES[alert].labels}
    written = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return [{"labels": f"ALERTS{{{written}}}", "value": 1}]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Each over series that make it fire, and over such that must not."""
    assert PROMTOOL is not None
    alone = [(group, rule) for group in spec()["groups"] for rule in group["rules"]]
    for group, rule in alone:
        alert, case = rule["alert"], CASES[rule["alert"]]
        # Each with its own rule alone: with all of them it takes minutes.
        (tmp_path / f"{alert}.rules").write_text(yaml.safe_dump({"groups": [{"name": group["name"], "rules": [rule]}]}))
        tests = [made(alert, case.fires, expected(alert)), made(alert, case.quiet, [])]
        document = {"rule_files": [f"{alert}.rules"], "evaluation_interval": "5m", "tests": tests}
        (tmp_path / f"{alert}.yaml").write_text(yaml.safe_dump(document))
    names = [rule["alert"] for _, rule in alone]
    checked, tested = [f"{name}.rules" for name in names], [f"{name}.yaml" for name in names]
    for arguments in (("check", "rules", *checked), ("test", "rules", *tested)):
        command = [PROMTOOL, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def made(alert: str, series: dict[str, str], samples: list[dict[str, Any]]) -> dict[str, Any]:
    """A test of promtool: which alert fires at the end."""
    query = {"expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}', "eval_time": f"{MINUTES}m"}
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{**query, "exp_samples": samples}],
    }
