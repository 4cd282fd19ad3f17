"""The command line: command groups, and the one place where errors become words and exit codes."""

import os
import signal
import sys
from typing import Any, NoReturn

import typer

from diffpipe.cache.errors import DiffpipeError, InterruptedRunError, UsageError
from diffpipe.cli import (
    cache,
    check,
    diff,
    explain,
    fit,
    gradient,
    graph,
    histfactory,
    init,
    log,
    me,
    pdf,
    plan,
    run,
    serve,
    show,
    stage,
    status,
    submit,
)

TRACEBACK_VARIABLE = "DIFFPIPE_TRACEBACK"

app = typer.Typer(
    name="diffpipe",
    help="Exact gradients through long physics pipelines: cached, resumable, distributed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing rich would double the time it takes
)
app.add_typer(run.app, name="run")
app.add_typer(submit.app, name="submit")
app.add_typer(cache.app, name="cache")
app.add_typer(stage.app, name="stage")
app.command("plan")(plan.plan)
app.command("fit")(fit.fit)
app.command("check")(check.check)
app.command("status")(status.status)
app.command("log")(log.log)
app.command("diff", context_settings={"ignore_unknown_options": True})(diff.diff)  # -1 is a run
app.command("explain")(explain.explain)
app.command("gradient")(gradient.gradient)
app.command("graph")(graph.graph)
app.command("histfactory")(histfactory.histfactory)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("show")(show.show)
app.command("me")(me.me)
app.command("pdf")(pdf.pdf)


_INTERRUPTED = 130  # what typer gives back where Ctrl-C came to no one else
# typer exports its exceptions one by one; this is what they have in common
_Refused: Any = typer.BadParameter.__mro__[2]


def main() -> NoReturn:
    """Run the command line; exit codes: 0 done, 1 failed, 2 bad usage, 130 interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = app(standalone_mode=False)
        sys.exit(_report(_interrupted()) if code == _INTERRUPTED else code)
    except DiffpipeError as error:
        sys.exit(_report(error))
    except _Refused as error:
        error.show()
        sys.exit(_document(UsageError(error.format_message())))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_report(_interrupted()))
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get(TRACEBACK_VARIABLE):
            raise
        text = f"unexpected {type(error).__name__}: {error}"
        hint = f"this is a mistake in diffpipe; {TRACEBACK_VARIABLE}=1 shows where"
        sys.exit(_report(DiffpipeError(text, hint=hint)))


def _interrupted() -> InterruptedRunError:
    return InterruptedRunError(
        "interrupted", hint="what is finished is kept; the same command goes on"
    )


def _interrupt(*_: Any) -> NoReturn:
    """A batch system's SIGTERM acts like Ctrl-C."""
    raise KeyboardInterrupt


def _report(error: DiffpipeError) -> int:
    """Say what happened, and give the exit code."""
    print(f"error: {error.message}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)
    return _document(error)


def _document(error: DiffpipeError) -> int:
    """Print the JSON document of a failure if one was asked for."""
    if "--json" in sys.argv:
        import json

        print(json.dumps({"error": error.to_json()}), flush=True)
    return error.exit_code


if __name__ == "__main__":
    main()
