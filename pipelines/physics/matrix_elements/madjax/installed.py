"""The madjax that is installed, if it is one: imported without its side effect."""

import importlib
from types import ModuleType

import jax

from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.refusal import RefusedError

SOURCE = "https://github.com/madjax-hep/madjax"
HINT = (
    "the madjax of the Python package index is an empty placeholder; madjax itself comes from its "
    f"GitHub repository madjax-hep/madjax: pip install git+{SOURCE}"
)
DOUBLE = "jax_enable_x64"


def import_madjax() -> Finding:
    """What the import of madjax did to JAX's precision; RefusedError if there is no madjax."""
    before = jax.config.read(DOUBLE)
    module = part("madjax")
    if not hasattr(module, "MadJax"):
        raise RefusedError(
            f"the madjax found ({_place(module)}) is the empty placeholder: it has no MadJax",
            hint=HINT,
        )
    after = jax.config.read(DOUBLE)
    jax.config.update(DOUBLE, before)
    return _finding(before, after)


def part(name: str) -> ModuleType:
    """madjax, or a module of it; RefusedError if it cannot be imported."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == "madjax":
            raise RefusedError("madjax is not installed", hint=HINT) from error
        raise _broken(error) from error
    except Exception as error:
        raise _broken(error) from error


def _broken(error: Exception) -> RefusedError:
    return RefusedError(
        f"madjax is installed, but importing it fails: {type(error).__name__}: {error}",
        hint=f"install its latest version: pip install --force-reinstall git+{SOURCE}",
    )


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "a folder without code"


def _finding(before: bool, after: bool) -> Finding:
    if before != after:
        text = f"importing madjax set {DOUBLE} to {after} for all of the process: set back"
        return Finding(DOUBLE, "repaired", text)
    return Finding(DOUBLE, "fine", f"{before} before madjax was imported, and after")
