"""The command line. Options are described here; what they do is in the module of each command."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from sluicegate import __version__

application = typer.Typer(
    name="sluicegate",
    help="A Kubernetes Gateway API gateway: manifests in, traffic out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

DEFAULT_CONTROLLER = "sluicegate.dev/controller"

Paths = Annotated[list[str], typer.Argument(metavar="PATH...", help="Files, directories, - for standard input.")]
ControllerName = Annotated[
    str | None,
    typer.Option("--controller-name", help=f"controllerName of the GatewayClasses to serve. [{DEFAULT_CONTROLLER}]"),
]


class Output(enum.StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


class CheckOutput(enum.StrEnum):
    """How `check` writes its results."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


@application.command()
def serve(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATH...]", help="Files, directories, - for standard input."),
    ] = None,
    controller_name: ControllerName = None,
    listen: Annotated[
        list[str] | None,
        typer.Option("--listen", help="Bind these addresses instead of those that Gateways ask for; may be repeated."),
    ] = None,
    port_offset: Annotated[
        int | None,
        typer.Option("--port-offset", help="Added to every port: 8000 serves port 80 on 8080, without root. [0]"),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Threads that serve. [the cores that may be used]"),
    ] = None,
    drain: Annotated[
        float | None,
        typer.Option("--drain", metavar="SECONDS", help="Time for open requests after SIGTERM or Ctrl-C. [10]"),
    ] = None,
    admin: Annotated[
        str | None,
        typer.Option("--admin", metavar="ADDRESS", help="healthz, readyz, metrics, config; or off. [127.0.0.1:19000]"),
    ] = None,
    access_log: Annotated[
        str | None,
        typer.Option("--access-log", metavar="PATH", help="JSON lines to a file, - for standard output, or off. [off]"),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="PATH", help="Settings file (TOML). [$SLUICEGATE_CONFIG]"),
    ] = None,
    output: Annotated[
        Output | None,
        typer.Option("--output", "-o", help="json: one JSON object a line, for programs. [text]"),
    ] = None,
    kubernetes: Annotated[
        bool, typer.Option("--kubernetes", help="Serve the Gateways of a cluster instead of files.")
    ] = False,
    kubeconfig: Annotated[
        str | None,
        typer.Option("--kubeconfig", metavar="PATH", help="With --kubernetes. [the pod's own, else $KUBECONFIG]"),
    ] = None,
    address_pool: Annotated[
        list[str] | None,
        typer.Option("--address-pool", help="With --kubernetes: networks that Gateways get addresses from."),
    ] = None,
    status_address: Annotated[
        list[str] | None,
        typer.Option("--status-address", help="With --kubernetes: what Gateways report. [this machine's address]"),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option("--namespace", help="With --kubernetes: where the Lease is. [sluicegate-system]"),
    ] = None,
) -> None:
    """Serve the Gateways of manifests, and follow the files.

    Every option may also be an environment variable (SLUICEGATE_PORT_OFFSET) or a line of the settings file
    (port_offset = 8000); options win over variables, variables over the file.
    """
    from sluicegate.cli.serve import run, run_cluster

    flags = {
        "controller_name": controller_name,
        "listen": listen or None,
        "port_offset": port_offset,
        "workers": workers,
        "drain": drain,
        "admin": admin,
        "access_log": access_log,
        "output": output.value if output is not None else None,
        "address_pool": address_pool or None,
        "status_addresses": status_address or None,
        "namespace": namespace,
    }
    if kubernetes == bool(paths):
        raise typer.BadParameter("give paths of manifests, or --kubernetes, and not both")
    if kubernetes:
        raise typer.Exit(run_cluster(flags, config, kubeconfig, __version__))
    raise typer.Exit(run(paths or [], flags, config, __version__))


@application.command()
def check(
    paths: Paths,
    controller_name: ControllerName = None,
    output: Annotated[CheckOutput, typer.Option("--output", "-o", help="How to write it.")] = CheckOutput.TEXT,
    conditions: Annotated[
        bool, typer.Option("--conditions/--no-conditions", help="Show the conditions that the controller would write.")
    ] = True,
) -> None:
    """Say what the API server and the controller would say about manifests; exit 1 on problems."""
    from sluicegate.cli.check import run

    name = controller_name or DEFAULT_CONTROLLER
    raise typer.Exit(run(paths, name, output.value, __version__, conditions=conditions))


@application.command()
def explain(
    paths: Paths,
    request: Annotated[
        str,
        typer.Option(
            "--request",
            "-r",
            metavar="'METHOD URL'",
            help="Such as 'GET https://www.example.com/login', grpc://www.example.com/package.Service/Method, "
            "tls://www.example.com:443, tcp://:5432 or udp://:53.",
        ),
    ],
    header: Annotated[
        list[str] | None,
        typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="A header field; may be repeated."),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", help="Port of the listener, as written in the Gateway. [the URL's]"),
    ] = None,
    controller_name: ControllerName = None,
    config: Annotated[
        str | None,
        typer.Option("--config", metavar="PATH", help="Settings file of the gateway (TOML). [$SLUICEGATE_CONFIG]"),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to write it.")] = Output.TEXT,
) -> None:
    """Say which listener, route, rule and match take a request or a connection, and why others do not."""
    from sluicegate.cli.explain import run

    name = controller_name or DEFAULT_CONTROLLER
    raise typer.Exit(run(paths, request, header or [], port, name, output.value, config=config))


@application.command()
def translate(paths: Paths, controller_name: ControllerName = None) -> None:
    """Print the engine's configuration as JSON, without secrets."""
    from sluicegate.cli.translate import run

    raise typer.Exit(run(paths, controller_name or DEFAULT_CONTROLLER))


@application.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
def gateway(context: typer.Context) -> None:
    """Serve a Gateway of a cluster as its controller says: the data plane (`sluicegate gateway --help`)."""
    from sluicegate.cli.gateway import run

    raise typer.Exit(run(context.args))


@application.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
def controller(context: typer.Context) -> None:
    """Control the Gateways of a cluster: the control plane (`sluicegate controller --help`)."""
    from sluicegate.cli.controller import run

    raise typer.Exit(run(context.args))


@application.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@application.callback()
def common(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """A Kubernetes Gateway API gateway: manifests in, traffic out."""
