"""`diffpipe serve`: a pipeline as a component of other worlds, over HTTP."""

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from diffpipe.cli.options import Chosen, grouped, names

if TYPE_CHECKING:
    from diffpipe.rules.serve.component import Component
    from diffpipe.rules.serve.server import Interface

_LOOPBACK = ("127.0.0.1", "localhost")


class Protocol(StrEnum):
    UMBRIDGE = "umbridge"
    TESSERACT = "tesseract"


@dataclass(frozen=True)
class What:
    """What is served."""

    protocol: Annotated[
        Protocol, typer.Option("--protocol", help="The one that clients speak.")
    ] = Protocol.UMBRIDGE
    of: Annotated[
        str | None,
        typer.Option("--of", metavar="STAGE.OUTPUT", help="Another objective (a scalar)."),
    ] = None
    wrt: Annotated[
        str | None,
        typer.Option(
            "--wrt",
            metavar="NAME,...",
            help="The inputs, * and ? for groups; default: parameters with fit: true, else all.",
        ),
    ] = None


@dataclass(frozen=True)
class Listening:
    """Where it listens and computes."""

    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Where to listen; any but loopback opens it to the network.",
        ),
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: one that is free.")] = (
        4242
    )
    cores: Annotated[
        int, typer.Option("--cores", min=1, help="Worker processes at a time.", show_default="all")
    ] = os.cpu_count() or 1
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only where it listens.")] = False


@grouped
def serve(chosen: Chosen, what: What, listening: Listening) -> None:
    """Serve the objective and its gradient as a function of parameters, until interrupted.

    As a model of UM-Bridge, or as a Tesseract. Requests are computed one at a time, by workers that
    stay warm; what was found at a point is remembered in the store.
    """
    from diffpipe.rules.serve.server import Server

    interface = _interface(what.protocol, _component(chosen, what, listening))
    server = Server(interface, listening.host, listening.port)
    with interface.component.ready():
        _announce(interface, server.address, listening.host)
        server.start()
        interface.component.work()


def _component(chosen: Chosen, what: What, listening: Listening) -> "Component":
    from diffpipe.cli.fit_progress import Quiet, Told
    from diffpipe.pipelines.core.plan import Request, objective_of
    from diffpipe.rules.fit.sweeps import Sweeps
    from diffpipe.rules.here import Here
    from diffpipe.rules.serve.component import Component, served

    store, pipeline = chosen.open_store(), chosen.open_pipeline()
    place = Here(listening.cores)
    request = Request("backward", of=names(what.of), jobs=place.jobs)
    objective_of(pipeline, request)  # refused before anybody asks
    follower = Quiet() if listening.quiet else Told()
    sweeps = Sweeps(store, pipeline, request, place, follower)
    return Component(sweeps, served(pipeline, names(what.wrt)))


def _interface(protocol: Protocol, component: "Component") -> "Interface":
    if protocol is Protocol.UMBRIDGE:
        from diffpipe.rules.serve.umbridge import Umbridge

        return Umbridge(component)
    from diffpipe.rules.serve.tesseract import Tesseract

    return Tesseract(component)


def _announce(interface: "Interface", address: str, host: str) -> None:
    component = interface.component
    inputs = ", ".join(component.names)
    print(f"{component.name} is served at {address} ({interface.title})")
    print(f"  {component.sweeps.objective} as a function of {inputs}", flush=True)
    if host not in _LOOPBACK:
        typer.echo(f"  {host} is not loopback: whoever reaches it may ask", err=True)
