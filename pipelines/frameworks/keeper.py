"""The keeper: a small process beside a worker that runs its programs, and does not outlive it.

A line in names a program to run, a line out says how it ended. Standard input ends when the worker
does, even by kill -9: then the program in work is killed, with all processes of its group, and its
work folder is removed. Nothing of diffpipe is imported here, so that a keeper starts in 30 ms and
a program in one.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

_WORKER = 0  # standard input: while a program runs nothing is sent, so that only its end is heard


def main() -> None:
    """Run programs one after the other until the worker is gone."""
    bell = _rung_by_children()
    while line := sys.stdin.readline():
        print(json.dumps(_run(json.loads(line), bell)), flush=True)


def _run(job: dict[str, Any], bell: int) -> dict[str, Any]:
    """Run {command, folder, stdout, stderr, seconds}: {code, late}, or {refused}: why not."""
    with open(job["stdout"], "wb") as words, open(job["stderr"], "wb") as errors:  # noqa: PTH123
        try:
            process = subprocess.Popen(
                job["command"],
                cwd=job["folder"],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=errors,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return {"refused": getattr(error, "strerror", None) or str(error)}
    late = not _ends(process, job, bell)
    _kill(process)
    return {"code": process.wait(), "late": late}


def _ends(process: "subprocess.Popen[bytes]", job: dict[str, Any], bell: int) -> bool:
    """Wait for a program: whether it ended in its time."""
    deadline = time.monotonic() + job["seconds"]
    while process.poll() is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        heard, _, _ = select.select([_WORKER, bell], [], [], left)
        if _WORKER in heard:
            _give_up(process, job["folder"])
        if bell in heard:
            os.read(bell, 1024)
    return True


def _give_up(process: "subprocess.Popen[bytes]", folder: str) -> None:
    import shutil

    _kill(process)
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)
    sys.exit(1)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it has started; also after its own end."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _rung_by_children() -> int:
    """A pipe that can be read once a child has ended, before or after one begins to wait."""
    bell, rope = os.pipe()
    os.set_blocking(rope, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(rope, warn_on_full_buffer=False)
    return bell


if __name__ == "__main__":
    main()
