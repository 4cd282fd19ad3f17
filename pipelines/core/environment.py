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
from typing import NoReturn

from diffpipe.cache.errors import PipelineError

FRAMEWORK_PACKAGES = {
    "jax": ("jax", "jaxlib", "numpy", "scipy"),
    "torch": ("torch", "numpy"),
    "tensorflow": ("tensorflow", "numpy"),
    "numpy": ("numpy", "scipy"),
    "command": (),
    "umbridge": (),
    "tesseract": (),
}
_NAMESAKES = {"tensorflow": ("tensorflow_cpu", "tensorflow_intel")}  # one package, several names
_DISTRIBUTION = re.compile(r"(.+?)-([^-]+)\.dist-info")


@dataclass(frozen=True)
class Environment:
    """Where stages run, and what versions compute.

    forced: the platform of every stage ("cpu", "gpu"), where JAX_PLATFORMS names one.
    on_gpu: the frameworks that can use a GPU: what they need for it is installed.
    """

    forced: str | None = None
    on_gpu: frozenset[str] = frozenset()

    @classmethod
    def current(cls) -> "Environment":
        """What this process's variables and installed packages say."""
        named = os.environ.get("JAX_PLATFORMS", "").split(",")[0].strip().lower()
        forced = "gpu" if named in ("cuda", "rocm", "gpu") else named or None
        return cls(forced, _on_gpu())

    def platform(self, gpus: int, framework: str = "jax") -> str:
        """Where a stage that asks for so many GPUs is computed; it stands in the stage's key."""
        return self.forced or ("gpu" if gpus and framework in self.on_gpu else "cpu")

    def versions(self, framework: str) -> dict[str, str]:
        """The versions of what computes a stage; raises PipelineError where one is missing."""
        found = {name: _version(name) for name in FRAMEWORK_PACKAGES[framework]}
        return {name: version or _missing(name) for name, version in found.items()}


def _version(package: str) -> str | None:
    installed = _installed()
    names = (package, *_NAMESAKES.get(package, ()))
    return next((installed[name] for name in names if name in installed), None)


def _missing(package: str) -> NoReturn:
    raise PipelineError(f"{package} is not installed", hint=f"pip install 'diffpipe[{package}]'")


def _on_gpu() -> frozenset[str]:
    """A program sees to its GPU itself."""
    names = _installed()
    cuda = any(name.startswith("nvidia_cublas") for name in names)
    able = {
        "jax": any(name.startswith(("jax_cuda", "jax_rocm")) for name in names),
        "torch": cuda or "+cu" in names.get("torch", "") or "+rocm" in names.get("torch", ""),
        "tensorflow": cuda and "tensorflow" in names,
        "command": True,
    }
    return frozenset(name for name, can in able.items() if can)


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
