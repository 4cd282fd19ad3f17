"""Servers of UM-Bridge and Tesseract, from their own packages, as processes on the loopback."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SERVERS = {"umbridge": "umbridge", "tesseract": "tesseract_core"}  # and their packages
RUNTIME = Path(sys.executable).parent / "tesseract-runtime"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@contextlib.contextmanager
def serving(name, folder):
    """The address of a server of what is in a folder: umbridge_server.py, or tesseract_api.py."""
    port = free_port()
    command = {
        "umbridge": [sys.executable, str(folder / "umbridge_server.py"), str(port)],
        "tesseract": [str(RUNTIME), "--version", "1.2", "serve", "--port", str(port)],
    }[name]
    variables = {
        "PYTHONPATH": str(folder),
        "TESSERACT_API_PATH": str(folder / "tesseract_api.py"),
        "TESSERACT_RUNTIME_OUTPUT_PATH": str(folder),
    }
    with _started(command, port, env=os.environ | variables, cwd=folder) as address:
        yield address


@contextlib.contextmanager
def _started(command, port, **extra):
    """A server as a process, once it listens."""
    with tempfile.TemporaryFile("w+") as errors:  # a pipe that nobody reads would fill
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, **extra)
        try:
            _wait(server, port, errors)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()
            server.wait()


def _wait(server, port, errors):
    for _ in range(600):
        with socket.socket() as there:
            if there.connect_ex(("127.0.0.1", port)) == 0:
                return
        errors.seek(0)
        assert server.poll() is None, errors.read()
        time.sleep(0.1)
