"""The controller's metrics, by `prometheus-client`: what there is at the moment that somebody asks.

A series for each writer and each data plane: they end with what they count.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from prometheus_client import Histogram, ProcessCollector
from prometheus_client.core import CollectorRegistry, CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from sluicegate import __version__
from sluicegate.controller import caught

from .certificates import Expiry

#: Upper bounds in seconds.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Where an exception may be caught; a controller reads no files.
STAGES = tuple(stage for stage in caught.STAGES if stage != "read")

_PREFIX = "sluicegate_controller"
#: What of the process is told; `ProcessCollector` has more.
_PROCESS = frozenset(
    {
        "process_cpu_seconds",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    }
)


class Figures(NamedTuple):
    """What the controller counts, at one moment.

    Attributes:
        leading: it writes.
        ready: all was translated.
        writes: objects written, by writer.
        waiting: objects that wait to be written, by writer.
        provisioning_failures: Gateways whose data plane could not be provisioned.
        planes: pods on the config stream, by namespace and name of the data plane.
        unusable: objects that cannot be used as they are.
        exceptions: faults of the controller itself, by stage.
        faults: what stands still.
        expiries: when certificates of listeners end, those that end first.
        expiries_untold: how many there are besides.
    """

    leading: bool
    ready: bool
    writes: Mapping[str, int]
    waiting: Mapping[str, int]
    provisioning_failures: int
    planes: Mapping[tuple[str, str], int]
    unusable: int
    exceptions: Mapping[caught.Stage, int]
    faults: int
    expiries: Sequence[Expiry]
    expiries_untold: int


class ControllerMetrics:
    """All metrics of a controller; a collector of `prometheus-client`."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        """Tell what `figures` says when it is asked."""
        self._figures = figures
        self._changed = 0.0
        text = "From a change to its configuration and status."
        self._durations = Histogram(f"{_PREFIX}_reconcile_seconds", text, buckets=BUCKETS, registry=None)
        self._process = ProcessCollector(registry=None)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def observe(self, seconds: float) -> None:
        """Count one round of the control loop, which has just ended."""
        self._changed = time.time()
        self._durations.observe(seconds)

    def text(self) -> bytes:
        """Everything in the Prometheus text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Everything, in the order of `docs/metrics.md`."""
        now = self._figures()
        text = "1; what runs."
        yield _family(
            GaugeMetricFamily,
            "build_info",
            text,
            ["version", "python"],
            [((__version__, platform.python_version()), 1)],
        )
        yield _gauge("leading", "1 for the replica that writes.", now.leading)
        yield _gauge("ready", "1 once all was translated.", now.ready)
        for metric in self._durations.collect():
            # When it was made is no news: it is the start of the process.
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric
        yield _family(CounterMetricFamily, "writes", "Objects written to the API.", ["writer"], _by(now.writes))
        yield _family(
            GaugeMetricFamily, "queue_depth", "Objects that wait to be written.", ["writer"], _by(now.waiting)
        )
        yield _gauge(
            "provisioning_failures", "Gateways whose data plane could not be provisioned.", now.provisioning_failures
        )
        text = "Pods on the config stream, by data plane."
        yield _family(GaugeMetricFamily, "connected_pods", text, ["namespace", "name"], sorted(now.planes.items()))
        yield _gauge("unusable", "Objects that cannot be used as they are.", now.unusable)
        counts: dict[str, int] = {stage: now.exceptions.get(stage, 0) for stage in STAGES}
        text = "Faults of the controller itself, caught."
        yield _family(CounterMetricFamily, "exceptions", text, ["stage"], _by(counts))
        yield _gauge("faults", "What stands still: watches, a translation.", now.faults)
        text = "When the newest configuration was made."
        yield _gauge("configured_timestamp_seconds", text, self._changed)
        text = "When the certificate of a listener ends, of those that end first."
        ends = [((item.listener, item.secret), item.not_after) for item in now.expiries]
        yield _family(GaugeMetricFamily, "certificate_expiry_timestamp_seconds", text, ["listener", "secret"], ends)
        text = "Certificates of listeners whose end is not told, so that series are not too many."
        yield _gauge("certificate_expiries_untold", text, now.expiries_untold)
        for metric in sorted(self._process.collect(), key=lambda metric: metric.type, reverse=True):
            if metric.name in _PROCESS:
                yield metric


def _by(values: Mapping[str, int]) -> Iterator[tuple[tuple[str], int]]:
    return (((name,), value) for name, value in values.items())


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _family(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    name: str,
    text: str,
    labels: list[str],
    samples: Iterable[tuple[tuple[str, ...], int]],
) -> Metric:
    family = kind(f"{_PREFIX}_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(list(values), value)
    return family
