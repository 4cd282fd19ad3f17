"""What a worker must be told before it imports JAX, so that its bits depend on nothing else.

XLA's sums depend on how many threads it has: one per worker, cores are used by processes. Compiled
functions are kept in one folder per (jaxlib, CPU, flags).
"""

import os
import re
import socket
import warnings
from pathlib import Path
from typing import Any

from diffpipe.cache import keys
from diffpipe.pipelines.core.environment import Environment, cpu_flags

_ONE_THREAD = {
    "NPROC": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}
# glibc gives large arrays back to the kernel and asks for them again, a page fault for each 4 kB;
# read when a process starts, so it is for those to come
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "MALLOC_TOP_PAD_": str(32 << 20),
}
# the older way to emit loops compiles in two thirds of the time, and what it makes runs as fast
_XLA_FLAGS = ("--xla_cpu_multi_thread_eigen=false", "--xla_cpu_use_fusion_emitters=false")
_BROKEN = re.compile(r"Error reading persistent compilation cache entry for '([^']+)'")


def prepare(device: str) -> None:
    """Set the environment of this process for stages on `device` ("cpu", "gpu")."""
    os.environ.update(_ONE_THREAD)
    os.environ["JAX_PLATFORMS"] = {"gpu": "cuda"}.get(device, device)
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    given = os.environ.get("XLA_FLAGS", "").split()
    os.environ["XLA_FLAGS"] = " ".join(dict.fromkeys([*given, *_XLA_FLAGS]))
    folder = _compiled() / cpu_and_versions(device)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
    _mend_compiled(folder)


def devices(platform: str) -> str:
    """What a worker says of where it computes, and of the GPUs it was given."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
    return f"computing on the {platform.upper()} of {socket.gethostname()}; GPUs given: {given}"


def _compiled() -> Path:
    """Where compiled functions are kept: the user's own, never a store that a stranger wrote."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "diffpipe" / "compiled"


def cpu_and_versions(device: str) -> str:
    """A digest of what compiled functions depend on beside their code."""
    return keys.digest(
        {
            "versions": Environment().versions("jax"),
            "cpu": cpu_flags(),
            "xla": os.environ.get("XLA_FLAGS", ""),
            "threads": _ONE_THREAD["NPROC"],
            "device": device,
        }
    )[:16]


def _mend_compiled(folder: Path) -> None:
    """Delete a compiled function that cannot be read: JAX writes in place and never repairs one."""
    shown = warnings.showwarning

    def show(message: Any, *rest: Any, **named: Any) -> None:
        match = _BROKEN.search(str(message))
        if match is None:
            shown(message, *rest, **named)
            return
        for path in folder.glob(f"{match.group(1)}-*"):
            path.unlink(missing_ok=True)

    warnings.showwarning = show
