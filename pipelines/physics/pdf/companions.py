"""What `pdf_evolution` and `pdf_operator` bring along, in the words of a pipeline file.

The kernel matrices are a stage of their own, computed once for all parameters. A starting density
that is a user's function, or a set of LHAPDF, is a stage too, and its files are data.
Plain values only: a plan is made with it, and imports neither JAX nor NumPy.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from diffpipe.pipelines.physics.pdf import options as evolution_options
from diffpipe.pipelines.physics.pdf.lhapdf import files

OWN_PARAMETER = "pdf."
LHAPDF = "lhapdf:"


def companions(
    options: Mapping[str, Any], parameters: Sequence[str], folder: Path
) -> Mapping[str, Any]:
    """The stage `kernels`, and the stage `density` where the input is none of those that ship."""
    plan = evolution_options.of_mapping(options)
    source = options.get("input")
    if not isinstance(source, str) or ":" not in source:
        return _kernels(plan)
    if source.startswith(LHAPDF):
        q0 = [name for name in parameters if name == "q0"]
        return _merged(_kernels(plan), _set(source.removeprefix(LHAPDF), options, q0, folder))
    own = [name for name in parameters if name.startswith(OWN_PARAMETER)]
    kept = {"parameters": [name for name in parameters if name not in own]}
    return _merged(_kernels(plan), _function(source, own)) | kept


def _kernels(plan: evolution_options.Plan) -> dict[str, Any]:
    outputs = ["non_singlet", "singlet", *(["matching"] if plan.order == "NNLO" else [])]
    stage = {"uses": "pdf_kernels", "over": "once", "options": plan.kernels()}
    return {
        "stages": {"kernels": stage},
        "inputs": {name: f"kernels.{name}" for name in outputs},
    }


def _function(source: str, own: Sequence[str]) -> dict[str, Any]:
    """A user's density, `<module>:<function>`: a stage from x (x,) to density (11, x)."""
    stage = {
        "uses": source,
        "over": "once",
        "inputs": {"x": "kernels.x"},
        "parameters": list(own),
    }
    return {"stages": {"density": stage}, "inputs": {"density": "density.density"}}


def _set(
    name: str, options: Mapping[str, Any], parameters: Sequence[str], folder: Path
) -> dict[str, Any]:
    """A member of a set of LHAPDF, at q0 or where the set begins."""
    found = files.locate(name, folder)
    stage = {
        "uses": "lhapdf_density",
        "over": "once",
        "inputs": {"set": "data.set", "x": "kernels.x"},
        "parameters": list(parameters),
        "options": {word: options[word] for word in ("q0",) if word in options},
    }
    return {
        "stages": {"density": stage},
        "data": {"set": {"reader": "lhapdf", "path": str(found.member), "info": str(found.info)}},
        "inputs": {"density": "density.density", "q0": "density.q0"},
    }


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**one.get(name, {}), **other.get(name, {})} for name in {**one, **other}}
