"""Options that several commands share, and how their texts become values."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import UsageError

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline

PipelineArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[PIPELINE]",
        help="A shipped name or a YAML file; default: pipeline.yaml here, else drell_yan.",
    ),
]
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder.", envvar="DIFFPIPE_STORE")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter's value; arrays as name=[1,2]."),
]
EventsOption = Annotated[
    int | None, typer.Option("--events", help="Another number of events in every sample.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def open_store(folder: Path | None, *, create: bool = True) -> "Store":
    """The store that is named, or the default one."""
    from diffpipe.cache.layout import default_root
    from diffpipe.cache.store import Store

    root = default_root() if folder is None else folder.expanduser().absolute()
    return Store.open(root, create=create)


def open_pipeline(
    name: str | None, settings: list[str] | None = None, events: int | None = None
) -> "Pipeline":
    """The pipeline that is named, with values from the command line."""
    from diffpipe.pipelines.core import library
    from diffpipe.pipelines.core.assemble import assemble

    return assemble(library.find(name), set_values=_settings(settings or []), events=events)


def names(text: str | None) -> list[str] | None:
    """A comma-separated list of names."""
    if text is None:
        return None
    listed = [name.strip() for name in text.split(",")]
    if not all(listed):
        raise UsageError(f"{text!r} is not a list of names separated by commas")
    return listed


def _settings(texts: list[str]) -> dict[str, Any]:
    return dict(_setting(text) for text in texts)


def _setting(text: str) -> tuple[str, Any]:
    from diffpipe.pipelines.core.parameters import as_value

    name, sign, raw = text.partition("=")
    try:
        value = as_value(json.loads(raw))
    except (ValueError, RecursionError):
        value = _float(raw)
    if not sign or value is None:
        raise UsageError(
            f"--set {text}: not name=value with a finite number or a list of them",
            hint="write --set m_z=91.19, or --set b=[1,2,3]",
        )
    return name.strip(), value


def _float(raw: str) -> Any:
    from diffpipe.pipelines.core.parameters import as_value

    try:
        return as_value(float(raw))
    except ValueError:
        return None
