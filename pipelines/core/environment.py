"""What computes: the platform and the versions that stand in every key.

Read without importing any framework: versions come from the names of installed distributions.
"""

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FRAMEWORK_PACKAGES = {"jax": ("jax", "jaxlib", "numpy", "scipy")}
_DISTRIBUTION = re.compile(r"(.+?)-([^-]+)\.dist-info")


@dataclass(frozen=True)
class Environment:
    """Where stages run, and what versions compute.

    forced: the platform of every stage ("cpu", "gpu"), where JAX_PLATFORMS names one.
    gpu: whether a stage that asks for a GPU can use one: JAX has a plugin for it.
    """

    forced: str | None = None
    gpu: bool = False

    @classmethod
    def current(cls) -> "Environment":
        """What this process's variables and installed packages say."""
        named = os.environ.get("JAX_PLATFORMS", "").split(",")[0].strip().lower()
        forced = "gpu" if named in ("cuda", "rocm", "gpu") else named or None
        return cls(forced, any(name.startswith(("jax_cuda", "jax_rocm")) for name in _installed()))

    def platform(self, gpus: int) -> str:
        """Where a stage that asks for so many GPUs is computed; it stands in the stage's key."""
        return self.forced or ("gpu" if gpus and self.gpu else "cpu")

    def versions(self, framework: str) -> dict[str, str]:
        installed = _installed()
        return {name: installed.get(name, "absent") for name in FRAMEWORK_PACKAGES[framework]}


@lru_cache(maxsize=1)
def _installed() -> dict[str, str]:
    """Distribution name -> version, the first on sys.path winning, as imports do."""
    found: dict[str, str] = {}
    for folder in sys.path:
        try:
            names = [entry.name for entry in Path(folder or ".").iterdir()]
        except OSError:
            continue
        for name in names:
            match = _DISTRIBUTION.fullmatch(name)
            if match:
                found.setdefault(match.group(1).lower().replace("-", "_"), match.group(2))
    return found


def cpu_flags() -> str:
    """The instruction sets of this CPU, as the kernel lists them."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    match = re.search(r"^(?:flags|Features)\s*:\s*(.*)$", text, re.MULTILINE)
    return match.group(1) if match else platform.machine()


def cpu_type() -> str:
    """A short digest of the CPU's instruction sets: bits are promised on one type only."""
    return hashlib.sha256(cpu_flags().encode()).hexdigest()[:12]
