"""Which data plane each Gateway has: parameters, ports and static addresses to `PlaneRequest`s.

Rules:
- Bad parameters refuse the object that refers to them (`InvalidParameters`), and what is there goes on as it is: the
  request is `kept`. So does a Gateway none of whose listeners works, one that is being deleted (what the garbage
  collector takes must not come back), one whose class is gone, and everything while the controller has no CA yet.
- The ports of a Service are those of all listeners that could work, not only of those that do: a Secret that is
  missing for a while must not take a port away from a load balancer.
- Without provisioning references are checked all the same, since the manifests may be on their way to a cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...api import (
    OWN_GROUP,
    Diagnostics,
    Gateway,
    GatewayClass,
    GatewayParameters,
    GatewayParametersSpec,
    ObjectKey,
    Secret,
    Service,
)
from ...api.gateway import ParametersReference
from ...api.parameters import SHARED, merged
from ..assemble import Build
from ..conditions import Reason
from ..listeners import Draft
from ..secrets import Material, secret_value
from ..status import Verdict
from ..topology import ClassParameters
from ..values import MAX_PORT
from .names import (
    GATEWAY_PORTS,
    NAMESPACE_PORTS,
    dedicated_ports,
    label_value,
    plane_name,
    shared_name,
    shared_ports,
    shared_service_name,
)
from .parameters import unusable
from .plane import CLASS_LABEL, GATEWAY_LABEL, PlaneGateway, PlanePort, PlaneRequest, ProvisionOptions, controller_of
from .service import belongs

KIND = "GatewayParameters"
_REMEDY = f"refer to a {KIND} of {OWN_GROUP} that exists, or remove parametersRef"

#: Why a listener gets no port of a shared data plane.
NO_SHARED_PORT = (
    f"no port of the shared data plane is left: a Gateway may have {GATEWAY_PORTS:,} of them, "
    f"and the Gateways of a namespace {NAMESPACE_PORTS:,}"
)


@dataclass(slots=True)
class Provisioning:
    """Collects what is needed of data planes while a part of the topology is built.

    Attributes:
        classes: parameters of our classes, by name; filled by `check_class`.
    """

    controller_name: str
    material: Material
    classes: dict[str, ClassParameters] = field(default_factory=dict)
    _parameters: dict[ObjectKey, GatewayParametersSpec] = field(default_factory=dict)

    def check_class(self, item: GatewayClass, diagnostics: Diagnostics) -> Verdict | None:
        """Resolve the parameters of one of our classes; returns the verdict where they cannot be used."""
        spec, error = GatewayParametersSpec(), ""
        reference = item.spec.parameters_ref
        if reference is not None:
            found = None
            if reference.namespace or reference.kind != KIND:
                found, error = self._resolve(reference, reference.namespace)
            else:
                error = "parametersRef.namespace is missing"
            spec = found or spec
            if error:
                diagnostics.error("spec.parametersRef", "invalid-parameters", error, _REMEDY)
        self.classes[item.name] = ClassParameters(spec, error)
        return Verdict(False, Reason.INVALID_PARAMETERS, error) if error else None

    def check_gateway(self, gateway: Gateway, diagnostics: Diagnostics) -> Verdict | None:
        """Resolve the parameters of a Gateway; returns the verdict where they or the class's cannot be used."""
        known = self.classes.get(gateway.spec.gateway_class_name)
        base = known.spec if known is not None else GatewayParametersSpec()
        if known is not None and known.error:
            message = f"GatewayClass {gateway.spec.gateway_class_name} is not accepted: {known.error}"
            return Verdict(False, Reason.INVALID_PARAMETERS, message)
        infrastructure = gateway.spec.infrastructure
        if infrastructure is not None and infrastructure.parameters_ref is not None:
            over, error = self._resolve(infrastructure.parameters_ref, gateway.namespace)
            if over is None:
                field_path = "spec.infrastructure.parametersRef"
                diagnostics.error(field_path, "invalid-parameters", error, _REMEDY)
                return Verdict(False, Reason.INVALID_PARAMETERS, error)
            base = merged(base, over)
            # Each may be right and both together wrong.
            for found in unusable(base):
                message = f"with the parameters of the class {found.field} is wrong: {found.message}"
                diagnostics.error("spec.infrastructure.parametersRef", "invalid-parameters", message, "change either")
                return Verdict(False, Reason.INVALID_PARAMETERS, message)
        self._parameters[gateway.key] = base
        return None

    def has_plane(self, gateway: Gateway) -> bool:
        """Whether we made a data plane for a Gateway: by the Service that is there, which outlives a restart."""
        options = self.material.options.provision
        if options is None:
            return False
        name, class_name = gateway.name, gateway.spec.gateway_class_name
        labels = {GATEWAY_LABEL: label_value(name), CLASS_LABEL: label_value(class_name)}
        own = [(gateway.namespace, plane_name(name, class_name, unique=unique)) for unique in (False, True)]
        shared = (options.namespace, shared_service_name(gateway.key, class_name))
        for place in (*own, shared):
            service = self._service_at(*place)
            if (
                service is not None
                and controller_of(service.metadata.labels, service.metadata.annotations) == self.controller_name
                and labels.items() <= service.metadata.labels.items()
                and (place == shared or service.owner == gateway.metadata.uid)
            ):
                return True
        return False

    def requests(self, builds: Mapping[ObjectKey, Build], options: ProvisionOptions) -> dict[str, PlaneRequest]:
        """Say what every Gateway needs, by `namespace/name` of the data plane, and set what its listeners bind.

        Args:
            builds: our Gateways in the order of precedence, with all their listeners.
            options: settings of provisioning.
        """
        trust = self._trust(options)
        result: dict[str, PlaneRequest] = {}
        shared: dict[str, list[Build]] = {}
        for build in builds.values():
            class_name = build.gateway.spec.gateway_class_name
            if self._is_shared(build, options):
                shared.setdefault(class_name, []).append(build)
            else:
                name = plane_name(build.gateway.name, class_name)
                if f"{build.gateway.namespace}/{name}" in result:
                    name = plane_name(build.gateway.name, class_name, unique=True)
                request = self._dedicated(build, name, trust)
                result[request.key] = request
        for class_name, members in shared.items():
            request = self._shared(class_name, members, trust, options)
            result[request.key] = request
        return result

    def _resolve(self, reference: ParametersReference, namespace: str) -> tuple[GatewayParametersSpec | None, str]:
        if (reference.group, reference.kind) != (OWN_GROUP, KIND):
            return (
                None,
                f"parameters of kind {reference.group}/{reference.kind} are not supported, only {OWN_GROUP}/{KIND}",
            )
        self.material.reads.add((KIND, namespace, reference.name))
        found = self.material.snapshot.table(KIND).get((namespace, reference.name))
        if not isinstance(found, GatewayParameters):
            return None, f"{KIND} {namespace}/{reference.name} does not exist"
        for wrong in unusable(found.spec):
            return None, f"{KIND} {namespace}/{reference.name}: {wrong.field}: {wrong.message}"
        return found.spec, ""

    def _trust(self, options: ProvisionOptions) -> str | None:
        """PEM of the controller's CA; None while there is none."""
        if not options.authority:
            return ""
        self.material.reads.add(("Secret", options.namespace, options.authority))
        secret = self.material.snapshot.table("Secret").get((options.namespace, options.authority))
        value = secret_value(secret, "ca.crt") if isinstance(secret, Secret) else None
        return value.decode(errors="replace") if value else None

    def _is_shared(self, build: Build, options: ProvisionOptions) -> bool:
        known = self.classes.get(build.gateway.spec.gateway_class_name)
        if known is not None and not known.error:
            return known.spec.mode == SHARED
        # Nobody can say what the class wants now: as it is.
        return self._service(build, options) is not None

    def _service(self, build: Build, options: ProvisionOptions) -> Service | None:
        """The Service that a Gateway has in a shared data plane."""
        class_name = build.gateway.spec.gateway_class_name
        found = self._service_at(options.namespace, shared_service_name(build.gateway.key, class_name))
        if found is not None and belongs(found, self.controller_name, ""):
            return found
        return None  # there is none, or somebody else's of that name

    def _service_at(self, namespace: str, name: str) -> Service | None:
        self.material.reads.add(("Service", namespace, name))
        found = self.material.snapshot.table("Service").get((namespace, name))
        return found if isinstance(found, Service) else None

    def _dedicated(self, build: Build, name: str, trust: str | None) -> PlaneRequest:
        gateway = build.gateway
        class_name = gateway.spec.gateway_class_name
        targets: dict[tuple[str, int], int] = {}
        ports = dedicated_ports((_transport(draft), draft.spec.port) for draft in _bindable(build))
        for port in ports:
            targets[port.transport, port.port] = port.target
        for draft in _bindable(build):
            target = targets.get((_transport(draft), draft.spec.port))
            if target is None:
                draft.reject(
                    Reason.PORT_UNAVAILABLE, f"a Gateway may have {GATEWAY_PORTS:,} ports, and others come first"
                )
            else:
                draft.bind_port = target
        build.service, build.service_owner = (gateway.namespace, name), gateway.metadata.uid
        member = self._member(build, name, ports)
        return PlaneRequest(
            namespace=gateway.namespace,
            name=name,
            controller_name=self.controller_name,
            class_name=class_name,
            shared=False,
            gateways=(member,),
            parameters=member.parameters,
            trust=trust or "",
            kept=member.kept or trust is None,
        )

    def _shared(
        self, class_name: str, members: list[Build], trust: str | None, options: ProvisionOptions
    ) -> PlaneRequest:
        known: dict[tuple[ObjectKey, str, int], int] = {}
        wanted: dict[tuple[ObjectKey, str, int], None] = {}
        for build in members:
            key = build.gateway.key
            wanted.update(((key, _transport(draft), draft.spec.port), None) for draft in _bindable(build))
            service = self._service(build, options)
            for port in service.spec.ports if service is not None else ():
                if isinstance(port.target_port, int):
                    known[key, port.protocol, port.port] = port.target_port
        targets = shared_ports(wanted, known)
        gateways = []
        for build in members:
            key = build.gateway.key
            ports: set[PlanePort] = set()
            for draft in _bindable(build):
                transport = _transport(draft)
                target = targets.get((key, transport, draft.spec.port))
                if target is None:
                    draft.reject(Reason.PORT_UNAVAILABLE, NO_SHARED_PORT)
                else:
                    draft.bind_port = target
                    ports.add(PlanePort(transport, draft.spec.port, target))
            name = shared_service_name(key, class_name)
            build.service = (options.namespace, name)
            gateways.append(self._member(build, name, tuple(sorted(ports))))
        known_class = self.classes.get(class_name)
        return PlaneRequest(
            namespace=options.namespace,
            name=shared_name(class_name),
            controller_name=self.controller_name,
            class_name=class_name,
            shared=True,
            gateways=tuple(gateways),
            parameters=known_class.spec if known_class is not None else GatewayParametersSpec(),
            trust=trust or "",
            kept=trust is None or known_class is None or bool(known_class.error),
        )

    def _member(self, build: Build, service: str, ports: tuple[PlanePort, ...]) -> PlaneGateway:
        gateway = build.gateway
        infrastructure = gateway.spec.infrastructure
        build.kept = build.refused is not None
        build.goes_on = build.kept and self.has_plane(gateway)
        return PlaneGateway(
            key=gateway.key,
            uid=gateway.metadata.uid,
            service=service,
            ports=ports,
            addresses=build.requested,
            cluster=build.cluster,
            labels=infrastructure.labels if infrastructure is not None else {},
            annotations=infrastructure.annotations if infrastructure is not None else {},
            parameters=self._parameters.get(gateway.key, GatewayParametersSpec()),
            kept=build.kept or gateway.metadata.deleting or not any(draft.usable for draft in _bindable(build)),
        )


def _bindable(build: Build) -> list[Draft]:
    """Listeners that could work: of the Gateway and of the ListenerSets that it allows."""
    groups = [build.own, *(group for group in build.sets if group.verdict is None)]
    return [draft for group in groups for draft in group.drafts if draft.supported and 0 < draft.spec.port <= MAX_PORT]


def _transport(draft: Draft) -> str:
    return "UDP" if draft.spec.protocol == "UDP" else "TCP"
