"""The command line: command groups, and the one place where errors become words and exit codes."""

import sys
from typing import NoReturn

import typer

from diffpipe.cache.errors import DiffpipeError
from diffpipe.cli import cache, graph, run, show, status

app = typer.Typer(
    name="diffpipe",
    help="Exact gradients through long physics pipelines: cached, resumable, distributed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing rich would double the time it takes
)
app.add_typer(run.app, name="run")
app.add_typer(cache.app, name="cache")
app.command("status")(status.status)
app.command("graph")(graph.graph)
app.command("show")(show.show)


def main() -> NoReturn:
    """Run the command line; exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    try:
        sys.exit(app(standalone_mode=True))
    except DiffpipeError as error:
        sys.exit(_report(error))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        sys.exit(1)


def _report(error: DiffpipeError) -> int:
    """Say what happened, on standard error or as the JSON document that was asked for."""
    if "--json" in sys.argv:
        import json

        print(json.dumps({"error": error.to_json()}))
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)
    return error.exit_code


if __name__ == "__main__":
    main()
