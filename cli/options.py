"""Options that several commands share, in groups, and how their texts become values.

A command takes groups; `grouped` shows typer the single options. So each option is written once.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from diffpipe.cache.errors import UsageError

if TYPE_CHECKING:
    from diffpipe.cache.store import Store
    from diffpipe.pipelines.core.model import Pipeline

_VALUES = 'a JSON object {"m_z": 91.19, ...}, or the document of fit --json'
StoreOption = Annotated[
    Path | None, typer.Option("--store", help="The store's folder.", envvar="DIFFPIPE_STORE")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@dataclass(frozen=True)
class Chosen:
    """Which pipeline, with which values, on which store."""

    pipeline: Annotated[
        str | None,
        typer.Argument(
            metavar="[PIPELINE]",
            help="A shipped name or a YAML file; default: pipeline.yaml here, else drell_yan.",
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A parameter; arrays as name=[1,2]."),
    ] = None
    values: Annotated[
        Path | None,
        typer.Option(
            "--values", metavar="FILE", help="Values by name, JSON; or what `fit --json` printed."
        ),
    ] = None
    events: Annotated[
        int | None, typer.Option("--events", help="Another number of events in every sample.")
    ] = None
    store: StoreOption = None

    def open_store(self, *, create: bool = True) -> "Store":
        return open_store(self.store, create=create)

    def open_pipeline(self, gpus: int | None = None) -> "Pipeline":
        """The pipeline that is named, with values from the command line."""
        from diffpipe.pipelines.core import library
        from diffpipe.pipelines.core.assemble import assemble

        values = _values(self.values) | dict(_setting(text) for text in self.settings or [])
        path = library.find(self.pipeline)
        return assemble(path, set_values=values, events=self.events, gpus=gpus)


@dataclass(frozen=True)
class Printed:
    """How results are said."""

    as_json: JsonOption = False


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of its groups (dataclasses) in place of the groups."""
    groups = {name: kind for name, kind in get_type_hints(command).items() if name != "return"}
    hints = {
        option: hint
        for kind in groups.values()
        for option, hint in get_type_hints(kind, include_extras=True).items()
    }

    @wraps(command)
    def flat(**values: Any) -> None:
        command(
            **{
                name: kind(**{each.name: values[each.name] for each in fields(kind)})
                for name, kind in groups.items()
            }
        )

    options = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=each.default,
            annotation=hints[each.name],
        )
        for kind in groups.values()
        for each in fields(kind)
    ]
    flat.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
    flat.__annotations__ = hints
    return flat


def arguments(*groups: Any) -> list[str]:
    """The command-line arguments that give these groups their values, the store's folder apart."""
    found: list[str] = []
    for group in groups:
        hints = get_type_hints(type(group), include_extras=True)
        for each in fields(group):
            value = getattr(group, each.name)
            if value != each.default and each.name != "store":
                (declared,) = hints[each.name].__metadata__
                found += _argument(declared, value)
    return found


def _argument(declared: Any, value: Any) -> list[str]:
    said = (declared.default, *(declared.param_decls or ()))  # typer takes the first for a default
    name = next((each for each in said if isinstance(each, str) and each.startswith("-")), None)
    if name is None:
        return [str(value)]  # it has its place, and no name
    if value is True:
        return [name]
    return [
        text
        for each in (value if isinstance(value, list) else [value])
        for text in (name, str(each))
    ]


def open_store(folder: Path | None, *, create: bool = True) -> "Store":
    """The store that is named, or the default one."""
    from diffpipe.cache.layout import default_root
    from diffpipe.cache.store import Store

    root = default_root() if folder is None else folder.expanduser().absolute()
    return Store.open(root, create=create)


def names(text: str | None) -> list[str] | None:
    """A comma-separated list of names."""
    if text is None:
        return None
    listed = [name.strip() for name in text.split(",")]
    if not all(listed):
        raise UsageError(f"{text!r} is not a list of names separated by commas")
    return listed


def _values(path: Path | None) -> dict[str, Any]:
    """The values in a JSON file; those of a fit stand under its `values`."""
    from diffpipe.pipelines.core.parameters import as_value

    if path is None:
        return {}
    try:
        raw = json.loads(path.read_text())
        named = {name: as_value(each) for name, each in raw.get("values", raw).items()}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UsageError(f"--values {path}: {error}", hint=_VALUES) from error
    for name, value in named.items():
        if value is None:
            text = f"--values {path}: {name} is not a finite number or a list of them"
            raise UsageError(text, hint=_VALUES)
    return named


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
