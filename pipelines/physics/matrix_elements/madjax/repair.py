"""madjax's `complex`, replaced at run time where it spoils numbers.

Stock madjax makes every complex number with `madjax_patch.complex`. Given one argument it returns
shape (1,), so that a sum over colours becomes a sum over pairs of colours: |M|^2 comes out too
large, by the number of colour flows where their denominators are equal. And it rounds to complex64,
so that |M|^2 has the dtype of float64 and the digits of float32.
"""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.matrix_elements.madjax.installed import DOUBLE, part

COLOUR, PRECISION = "colour sum", "precision"
STOCK = "diffpipe_stock_complex"  # where what was replaced is kept: later packages hear of it, too


def exact_complex(*parts: Any) -> Array:
    """x, or x + iy of two arguments, in double precision and of the shape given."""
    value = parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]
    return jnp.asarray(value, dtype=jnp.complex128)


def repair() -> tuple[Finding, Finding]:
    """Replace `complex` where needed, in all of madjax; before a package is imported."""
    if not jax.config.read(DOUBLE):
        text = "JAX computes in single precision: set jax_enable_x64 before anything is computed"
        return Finding(COLOUR, "fine", "not looked at"), Finding(PRECISION, "refused", text)
    stock = _complex()
    if stock is None:
        text = "madjax has no madjax_patch.complex to look at"
        return Finding(COLOUR, "fine", text), Finding(PRECISION, "fine", text)
    made = jnp.asarray(stock(1.0))
    if made.shape != () or made.dtype != jnp.complex128:
        _replace(stock, _modules())
    return _colour(made.shape), _precision(str(made.dtype))


def _complex() -> Any:
    """madjax's own `complex`, also where it has been replaced."""
    try:
        patch = importlib.import_module("madjax.madjax_patch")
    except ModuleNotFoundError:
        return None
    return getattr(patch, STOCK, getattr(patch, "complex", None))


def _modules() -> Iterator[ModuleType]:
    part("madjax.wavefunctions")
    yield from [
        module for name, module in sys.modules.items() if name.partition(".")[0] == "madjax"
    ]


def _replace(stock: Any, modules: Iterator[ModuleType]) -> None:
    """Names are copied by `from ... import`, perhaps under another name: look for the function."""
    setattr(importlib.import_module("madjax.madjax_patch"), STOCK, stock)
    for module in modules:
        for name in [name for name, value in vars(module).items() if value is stock]:
            setattr(module, name, stock if name == STOCK else exact_complex)


def _colour(shape: tuple[int, ...]) -> Finding:
    if shape == ():
        return Finding(COLOUR, "fine", "complex(1.0) has shape ()")
    return Finding(COLOUR, "repaired", f"complex(1.0) has shape {shape}, not (): replaced")


def _precision(dtype: str) -> Finding:
    if dtype == "complex128":
        return Finding(PRECISION, "fine", "complex(1.0) is complex128")
    return Finding(PRECISION, "repaired", f"complex(1.0) is {dtype}, not complex128: replaced")
