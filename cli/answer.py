"""How a command that computes by itself, without a store, begins and answers."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffpipe.cache.errors import DiffpipeError, PipelineError
from diffpipe.cli.options import Printed
from diffpipe.cli.report import print_json


@contextmanager
def computing() -> Iterator[None]:
    """JAX as workers have it; what the physics refuses is an error of the command."""
    from diffpipe.pipelines.core.environment import Environment
    from diffpipe.rules import machine

    machine.prepare(Environment.current().platform(gpus=0))
    try:
        yield
    except DiffpipeError:
        raise
    except ValueError as error:
        if not hasattr(error, "hint"):
            raise
        raise PipelineError(str(error), hint=error.hint) from error


def answer(document: Mapping[str, Any], lines: Iterable[str], printed: Printed) -> None:
    """Print the document, or the lines that say the same."""
    if printed.as_json:
        print_json(dict(document))
        return
    for line in lines:
        print(line)
