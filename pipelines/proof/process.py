"""Processes that say what they found as lines of JSON, and a fresh one to compute in again."""

import json
import os
import select
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self, TextIO

_STDOUT, _STDERR = 1, 2
_SECONDS = 600


def own_stdout() -> TextIO:
    """Standard output, taken away from what a stage prints in any language: that is on stderr."""
    own = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return os.fdopen(own, "w")


class Fresh:
    """A process that is started when it is first asked, and started again where it died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed with the process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self._end()
        self._said.close()

    def ask(self, folder: Path) -> dict[str, Any]:
        """What it computes of what is saved in a folder, or the `error` that it died of."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{folder}\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], _SECONDS)[0]:
            process.kill()
            self._end()
            return {"error": f"no answer in {_SECONDS} s"}
        line = process.stdout.readline()
        if not line:
            return {"error": self._last_words(self._end())}
        found: dict[str, Any] = json.loads(line)
        return found

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "diffpipe.pipelines.proof.fresh"]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=self._said, text=True)

    def _end(self) -> int:
        if self._process is None:
            return 0
        with self._process as process:
            self._process = None
        return process.returncode

    def _last_words(self, code: int) -> str:
        self._said.seek(0)
        said = [line for line in self._said.read().splitlines() if line.strip()]
        return said[-1].strip() if said else f"it ends with {code}"
