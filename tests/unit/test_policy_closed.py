"""A policy that cannot be used and has no last good version is closed, as far as it can be read where it holds."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_manifests import GROUP, Manifest, backend, dump, gateway, listener, policy, route, rule, service, target

import sluicegate
from sluicegate import ir
from sluicegate.controller.api import ObjectKey, RefusedPolicy
from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import Translator, ir_transaction
from sluicegate.controller.translate.policies.registry import POLICIES
from sluicegate.schema import violations

TCP = {
    **route({"backendRefs": [backend("other")]}, name="tcp", parents=[{"name": "gateway", "sectionName": "tcp"}]),
    "apiVersion": GROUP,
    "kind": "TCPRoute",
}
WORLD = (
    gateway(listener(), listener("tcp", 90, "TCP")),
    route(rule("/", "app", name="first"), name="cart", hostnames=["cart.test"]),
    route(rule("/", "other"), name="other", hostnames=["other.test"]),
    TCP,
    *service("app", ("10.0.0.1", 80)),
    *service("other", ("10.0.0.2", 80)),
)
NOTHING: frozenset[str] = frozenset()
CART, ROUTES, EVERYTHING = {"cart"}, {"cart", "other"}, {"cart", "other", "tcp"}
GOOD = policy("AccessPolicy", "staff", target("HTTPRoute", "cart"), authorization={"rules": [{"users": ["ann"]}]})
KEY = ObjectKey("AccessPolicy", "default", "staff")


def changed(**values: Any) -> Manifest:
    """The policy with other values; `__` between the parts of a path, `GONE` takes one out."""
    result = copy.deepcopy(GOOD)
    for path, value in values.items():
        *steps, last = path.split("__")
        holder: Any = result
        for step in steps:
            holder = holder[int(step) if step.isdigit() else step]
        place = int(last) if last.isdigit() else last
        if value is GONE:
            del holder[place]
        else:
            holder[place] = value
    return result


GONE = object()
BROKEN = {"spec__authorization": 5}
#: Something else that a file may have.
OTHER = service("more")[0]


def closed(folder: Path, *policies: Manifest | str) -> set[str]:
    """Write manifests with these policies, and see which of the routes are closed; the others go on."""
    (folder / "all.yaml").write_text(dump(*WORLD))
    texts = [item if isinstance(item, str) else dump(item) for item in policies]
    (folder / "policies.yaml").write_text("\n---\n".join(texts))
    routes = sluicegate.load(folder)
    found = {name: routes.decide(f"GET http://{name}.test:8080/") for name in ("cart", "other")}
    found["tcp"] = routes.decide("tcp://:90")
    result = set()
    for name, decision in found.items():
        if decision.outcome == "forward":
            continue
        assert decision.reason in {"policy_invalid", "backend_invalid"}
        assert decision.status == (0 if name == "tcp" else 500)
        result.add(name)
    return result


def test_without_a_policy_all_is_open(tmp_path: Path) -> None:
    assert closed(tmp_path) == set()


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        pytest.param(changed(**BROKEN), CART, id="a value of another type"),
        pytest.param(changed(spec__authorisation=GOOD["spec"]["authorization"]), CART, id="a part that is misspelt"),
        pytest.param(changed(spec__authorization={"rules": [{"user": ["ann"]}]}), CART, id="a field in a part"),
        pytest.param(changed(spec__stategy="Overrides"), CART, id="a field of the head"),
        pytest.param(changed(kind="AccesPolicy"), CART, id="a kind that is misspelt"),
        pytest.param(changed(kind="WeatherPolicy"), CART, id="a kind of ours that nobody knows"),
        pytest.param(changed(kind=GONE), CART, id="no kind"),
        pytest.param(changed(kind=["AccessPolicy"]), CART, id="a kind that is no text"),
        pytest.param(changed(apiVersion="sluicegate.dev/v1"), CART, id="a version that is not there"),
        pytest.param(changed(apiVersion=5), CART, id="a version that is no text"),
        pytest.param(changed(metadata__name="A_b"), CART, id="a name that is none"),
        pytest.param(changed(metadata__name=GONE), CART, id="no name"),
        pytest.param(changed(metadata__labels=5), CART, id="labels"),
        pytest.param(changed(**BROKEN, spec__targetRefs__0__sectionName="first"), CART, id="a section"),
        pytest.param(changed(spec__targetRefs__0__sectionName=5), CART, id="a section that is no text"),
        pytest.param(changed(spec__targetRefs__0__kind="HTPRoute"), CART, id="a kind of a target that is misspelt"),
        pytest.param(changed(spec__targetRefs__0__kind="Service"), CART, id="a kind that is no target"),
        pytest.param(changed(spec__targetRefs__0__name=5), ROUTES, id="a name of a target that is no text"),
        pytest.param(changed(spec__targetRefs__0__nmae="cart", spec__targetRefs__0__name=GONE), ROUTES, id="nmae"),
        pytest.param(changed(**BROKEN, spec__targetRefs__0=target("Gateway", "gateway")), EVERYTHING, id="a Gateway"),
        pytest.param(
            changed(**BROKEN, spec__targetRefs__0=target("Gateway", "gateway", "tcp")), {"tcp"}, id="a listener"
        ),
        pytest.param(changed(**BROKEN, spec__targetRefs__0=target("TCPRoute", "tcp")), {"tcp"}, id="of connections"),
        pytest.param(changed(**BROKEN, spec__targetRefs__0__name="none"), NOTHING, id="a target that is not there"),
        pytest.param(changed(spec__targetRef=target("HTTPRoute", "cart"), spec__targetRefs=GONE), CART, id="targetRef"),
        pytest.param(changed(spec__targetRefs=GONE), EVERYTHING, id="no targets"),
        pytest.param(changed(spec__targetRefs=[]), EVERYTHING, id="an empty list of targets"),
        pytest.param(changed(spec__targetRefs="cart"), EVERYTHING, id="targets that are no list"),
        pytest.param(changed(spec__targetRefs=["cart"]), EVERYTHING, id="a target that is no object"),
        pytest.param(changed(spec="cart"), EVERYTHING, id="a spec that is none"),
        pytest.param(changed(metadata__namespace=5), CART, id="a namespace that is no text"),
        pytest.param(changed(metadata="staff", spec__targetRefs=GONE), EVERYTHING, id="nothing can be read"),
        pytest.param(changed(metadata__namespace="elsewhere", spec__targetRefs=GONE), NOTHING, id="another namespace"),
        pytest.param(dump(GOOD) + "  a: b: c\n", EVERYTHING, id="no YAML"),
        pytest.param(dump(changed(metadata__namespace="elsewhere")) + " a: b: c\n", NOTHING, id="no YAML, elsewhere"),
        pytest.param(dump(changed(apiVersion="weather.test/v1")), NOTHING, id="a policy of somebody else"),
    ],
)
def test_what_is_closed(tmp_path: Path, manifest: Manifest | str, expected: set[str]) -> None:
    assert closed(tmp_path, manifest) == expected


# An XBackend is named by routes: one that cannot be read is not there, and they answer 500.
@pytest.mark.parametrize(
    "kind", [kind for kind in POLICIES if not kind.itself and not kind.harmless], ids=lambda kind: kind.kind
)
def test_every_kind_closes(tmp_path: Path, kind: Any) -> None:
    of_service = "Service" in kind.targets
    named = target("Service", "app", group="") if of_service else target("HTTPRoute", "cart")
    manifest = policy(kind.kind, "odd", named, surprise=1)
    groups = {"BackendTLSPolicy": GROUP, "XBackendTrafficPolicy": "gateway.networking.x-k8s.io/v1alpha1"}
    manifest["apiVersion"] = groups.get(kind.kind, manifest["apiVersion"])
    assert closed(tmp_path, manifest) == CART


def test_a_policy_of_traces_closes_nothing(tmp_path: Path) -> None:
    """It guards nobody: without it requests are not traced."""
    manifest = policy("XTelemetryPolicy", "odd", target("Gateway", "gateway"), surprise=1)
    manifest["apiVersion"] = "gateway.networking.x-k8s.io/v1alpha1"
    assert closed(tmp_path, manifest) == set()


def test_a_good_one_beside_it_opens_nothing(tmp_path: Path) -> None:
    """Whichever of both is older, at one target or below it."""
    allowing = policy("AccessPolicy", "a", target("HTTPRoute", "cart"), authorization={"default": "Allow", "rules": []})
    last = copy.deepcopy(allowing)
    last["metadata"]["name"] = "z"
    above = changed(**BROKEN, spec__targetRefs__0=target("Gateway", "gateway"))
    for good, refused in ((allowing, changed(**BROKEN)), (last, changed(**BROKEN)), (allowing, above)):
        assert "cart" in closed(tmp_path, good, refused)


def test_it_is_told_with_its_line_and_in_conditions(tmp_path: Path, command: Callable[..., tuple[int, str]]) -> None:
    closed(tmp_path, changed(**BROKEN))
    status, told = command("check", "--for", "standalone", tmp_path)
    place = f"{tmp_path / 'policies.yaml'}:"
    assert status == 1
    assert f"{place}11: error: AccessPolicy/default/staff: spec.authorization: " in told
    assert "requests for HTTPRoute default/cart are answered 500, connections are reset" in told
    assert "Accepted=False (Invalid): it cannot be used as it is written: spec.authorization: " in told
    assert "sluicegate.dev/AccessPolicyAffected=True" in told
    status, told = command("explain", tmp_path, "-r", "GET http://cart.test:8080/")
    assert status == 1
    assert "of AccessPolicy/default/staff: refuses" in told
    assert "500 (policy_invalid)" in told
    assert f"{place}11: error: AccessPolicy/default/staff: spec.authorization: " in told


def test_for_a_cluster_it_is_not_there(tmp_path: Path, command: Callable[..., tuple[int, str]]) -> None:
    """An API server does not store it."""
    closed(tmp_path, changed(**BROKEN))
    status, told = command("check", "--for", "cluster", tmp_path)
    assert status == 1
    assert "AccessPolicy/default/staff  is refused" in told
    assert "AccessPolicyAffected" not in told


class Served:
    """Files that are followed: each step is held against one that begins anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "all.yaml").write_text(dump(*WORLD))
        self.store = Store()
        self._source = Source(Reader([str(folder)]), self.store, violations)
        self._translator = Translator()

    def step(self, text: str, file: str = "policies.yaml") -> str:
        """What the policy is then: good, closed or gone."""
        (self._folder / file).write_text(text)
        self._source.refresh()
        snapshot = self.store.snapshot()
        now, anew = self._translator.translate(snapshot), Translator().translate(snapshot)
        assert ir.encode(ir_transaction(None, now.ir, 1)) == ir.encode(ir_transaction(None, anew.ir, 1))
        assert now.statuses == anew.statuses
        kinds = {type(item) for item in snapshot.table("AccessPolicy").values()}
        assert len(kinds) <= 1
        return "gone" if not kinds else "closed" if kinds == {RefusedPolicy} else "good"


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


def test_the_last_good_version_goes_on(served: Served) -> None:
    broken = dump(changed(**BROKEN))
    steps = ("", broken, broken + "# again\n", dump(GOOD), broken, dump(changed(kind="AccesPolicy")), "a: b: c", "")
    found = [served.step(text) for text in steps]
    assert found == ["gone", "closed", "closed", "good", "good", "good", "good", "good"]
    assert served.step(dump(OTHER)) == "gone"


@pytest.mark.parametrize("text", ["", "a: b: c", "kind: AccessPolicy\n a: b: c\n"])
def test_what_is_closed_stays_so_while_nothing_can_be_read(served: Served, text: str) -> None:
    assert [served.step(item) for item in (dump(changed(**BROKEN)), text)] == ["closed", "closed"]


def test_a_good_version_in_another_file_counts(served: Served) -> None:
    assert served.step(dump(changed(**BROKEN))) == "closed"
    assert served.step(dump(GOOD), "more.yaml") == "good"
    assert served.step("", "more.yaml") == "good"
    assert served.step(dump(OTHER), "more.yaml") == "good"


def test_one_without_a_name_is_taken_for_one_that_goes_on(served: Served) -> None:
    nameless = dump(changed(metadata__name="A_b"))
    assert [served.step(text) for text in (dump(GOOD), nameless)] == ["good", "good"]
    assert served.step(f"{nameless}---\n{dump(OTHER)}") == "good"
    assert [served.step(text) for text in (dump(OTHER), nameless, dump(GOOD))] == ["gone", "closed", "good"]


def test_what_comes_later_is_closed_too(served: Served) -> None:
    """Where nobody knows which route is meant, routes that are new are."""
    served.step(dump(changed(spec__targetRefs=GONE)))
    served.step(dump(route(rule("/", "app"), name="new", hostnames=["new.test"])), "more.yaml")
    snapshot = served.store.snapshot()
    [rule_of] = [
        item for item in Translator().translate(snapshot).ir.http_rules.values() if item.route.endswith("/new")
    ]
    assert "AccessPolicy/default/staff/authorization" in rule_of.policies


def test_a_file_that_is_met_by_a_fault_of_ours_is_closed_by_its_text(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard itself, since no file is known that needs it."""
    real = Source._update

    def stumbling(source: Source, file: Any) -> Any:
        if file.path.endswith("policies.yaml"):
            raise KeyError("odd")
        return real(source, file)

    monkeypatch.setattr(Source, "_update", stumbling)
    assert served.step(dump(GOOD)) == "closed"
    monkeypatch.undo()
    assert served.step(dump(GOOD) + "# again\n") == "good"
