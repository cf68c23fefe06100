"""Routes in one List, as `kubectl get -o yaml` and `-o json` write it, against the same routes with `---` between them.

`python -m benches.scenario.lists [--routes 10000]`: seconds of CPU time to read, check and translate, and the ratios.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import yaml

from sluicegate.testing.offline import load_offline

ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  annotations:
    example.com/owner: "team & friends"
  creationTimestamp: "2026-01-01T00:00:00Z"
  generation: 1
  name: route-{number}
  namespace: default
  resourceVersion: "12345"
  uid: 7e6b5b2e-0000-0000-0000-{number:012}
spec:
  hostnames:
  - host-{number}.example.com
  parentRefs:
  - group: gateway.networking.k8s.io
    kind: Gateway
    name: gateway
  rules:
  - backendRefs:
    - group: ""
      kind: Service
      name: app
      port: 80
      weight: 1
    matches:
    - path:
        type: PathPrefix
        value: /
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    count = parser.parse_args().routes
    routes = [ROUTE.format(number=number) for number in range(count)]
    items = "".join("- " + route.replace("\n", "\n  ").rstrip(" ") for route in routes)
    whole = {"apiVersion": "v1", "kind": "List", "items": [yaml.load(route, yaml.CSafeLoader) for route in routes]}
    texts = {
        "documents": "---\n".join(routes),
        "list": f'apiVersion: v1\nitems:\n{items}kind: List\nmetadata:\n  resourceVersion: ""\n',
        "json": json.dumps(whole, indent=4),
    }
    seconds = {name: measure(text, count) for name, text in texts.items()}
    ratios = {name: round(value / seconds["documents"], 2) for name, value in seconds.items()}
    print(json.dumps({"routes": count, "seconds": seconds, "ratios": ratios}, indent=2))
    return 0


def measure(text: str, count: int) -> float:
    started = time.process_time()
    offline = load_offline(["-"], standard_input=text)
    found = time.process_time() - started
    assert offline.refresh.objects == count
    return round(found, 2)


if __name__ == "__main__":
    sys.exit(main())
