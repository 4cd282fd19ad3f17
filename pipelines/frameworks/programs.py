"""Programs of stages: run in a folder within a time, each way to fail said in words."""

import atexit
import json
import signal
import subprocess
import sys
from collections import deque
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, final

from diffpipe.cache.errors import PipelineError, StageError, WorkerError
from diffpipe.pipelines.core.targets import Program
from diffpipe.pipelines.frameworks import keeper

_LAST_LINES, _LINE = 20, 400  # of what a program said, and characters of each, in an error
_KEPT = "finished shards are kept; mend the program and run the same command"


def run(stage: str, program: Program, do: str, folder: Path) -> None:
    """Run a program in a folder; raises PipelineError, StageError where it does not succeed.

    What it prints goes to this process's standard error in the end: of a worker, into its log.
    """
    words, errors = folder / "stdout", folder / "stderr"
    job = {
        "command": [*program.command, do],
        "folder": str(folder),
        "stdout": str(words),
        "stderr": str(errors),
        "seconds": program.seconds,
    }
    ended = _keeper().run(job)
    _passed_on(words)
    said = _passed_on(errors)
    if "refused" in ended:
        text = f"stage {stage}: {program} cannot be started: {ended['refused']}"
        raise PipelineError(text, hint=_start_hint(program), stage=stage)
    if ended["late"]:
        how = f"took longer than {program.seconds:g} s and was ended"
        hint = "give it more time: framework: {name: command, timeout: 10 min}"
        raise _failed(stage, program, do, how, said, hint)
    if ended["code"]:
        raise _failed(stage, program, do, f"ended with {_code(ended['code'])}", said, _KEPT)


def _failed(
    stage: str, program: Program, do: str, how: str, said: list[str], hint: str
) -> StageError:
    text = f"stage {stage}: {program} {do} {how}{_last(said)}"
    return StageError(text, hint=hint, stage=stage)


def _code(code: int) -> str:
    if code > 0:
        return f"exit code {code}"
    try:
        return f"the signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal has no name
        return f"the signal {-code}"


def _passed_on(words: Path) -> list[str]:
    """Say again what a program said; its last lines."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    if words.is_file():
        with words.open(errors="replace") as said:
            for line in said:
                sys.stderr.write(line)
                last.append(line.rstrip()[:_LINE])
    return list(last)


def _last(said: list[str]) -> str:
    return "".join(["; its last words:", *(f"\n    {line}" for line in said)]) if said else ""


def _start_hint(program: Program) -> str:
    return f"is {program.path} made for this machine? A script begins with #! and its interpreter"


@final
class _Keeper:
    """The process that runs the programs of this one (see `keeper`)."""

    def __init__(self) -> None:
        self._turn = Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(keeper.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the process that started the worker
            text=True,
        )
        atexit.register(self._close)

    def run(self, job: dict[str, Any]) -> dict[str, Any]:
        """How a program ended; raises WorkerError where the keeper itself was killed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            try:
                self._process.stdin.write(json.dumps(job) + "\n")
                self._process.stdin.flush()
                answer = self._process.stdout.readline()
            except BrokenPipeError:
                answer = ""
        if not answer:
            _keeper.cache_clear()  # the next program has a new one
            hint = "run the same command: finished shards are kept"
            raise WorkerError("the process that runs the worker's programs was killed", hint=hint)
        ended: dict[str, Any] = json.loads(answer)
        return ended

    def _close(self) -> None:
        self._process.communicate()


_keeper = cache(_Keeper)
