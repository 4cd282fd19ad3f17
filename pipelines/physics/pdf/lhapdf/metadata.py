"""The metadata of an LHAPDF set: YAML in `<set>.info` and in the head of a member's .dat."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from diffpipe.pipelines.physics.pdf.lhapdf.files import SetFiles
from diffpipe.pipelines.physics.refusal import RefusedError

FORMAT = "lhagrid1"


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """Plain YAML, with numbers such as 1e-06 read as numbers."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read(path: Path) -> dict[str, Any]:
    """The metadata of an .info file; raises RefusedError with file and line."""
    return parse(path, list(enumerate(lines(path), 1)))


def lines(path: Path) -> list[str]:
    """The lines of a text file of a set; author names are met that are no UTF-8."""
    return path.read_text(encoding="utf-8", errors="replace").splitlines()


def parse(path: Path, numbered: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """The metadata in lines of a file, each with its number there; raises RefusedError."""
    try:
        found = yaml.load("\n".join(text for _, text in numbered), _Loader)
    except yaml.MarkedYAMLError as error:
        place = str(path)
        if error.problem_mark is not None:
            nearest = min(error.problem_mark.line, len(numbered) - 1)
            place = f"{path}, line {numbered[nearest][0]}"
        raise RefusedError(f"{place}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RefusedError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        first = numbered[0][0] if numbered else 1
        raise RefusedError(f"{path}, line {first}: no metadata (`Name: value`) stand here")
    return found


def check_format(info: Mapping[str, Any], files: SetFiles) -> None:
    """RefusedError unless the grids are of the format that is read here."""
    if info.get("Format", FORMAT) != FORMAT:
        raise RefusedError(
            f"{_place(files, 'Format')}: the format is {info['Format']!r}; {FORMAT} can be read"
        )


def alphas_table(info: Mapping[str, Any], files: SetFiles) -> dict[str, np.ndarray]:
    """alphas_q (knot,) in GeV and alphas (knot,); nothing where the set has no table of them.

    A threshold stands twice among the knots. Raises RefusedError for a table that is none.
    """
    tabulated = str(info.get("AlphaS_Type", "")).lower() == "ipol"
    if not (tabulated and "AlphaS_Qs" in info and "AlphaS_Vals" in info):
        return {}
    q, values = (_positive(info, files, name) for name in ("AlphaS_Qs", "AlphaS_Vals"))
    if q.size != values.size:
        raise RefusedError(
            f"{_place(files, 'AlphaS_Vals')}: {values.size} values of alpha_s for {q.size} scales"
        )
    steps = np.diff(q)
    alone = np.diff(np.flatnonzero(np.concatenate([[True], steps == 0.0, [True]]))) == 1
    if (steps < 0.0).any() or alone.any():
        raise RefusedError(
            f"{_place(files, 'AlphaS_Qs')}: the scales do not rise, with thresholds twice"
        )
    return {"alphas_q": q, "alphas": values}


def _positive(info: Mapping[str, Any], files: SetFiles, name: str) -> np.ndarray:
    try:
        values = np.array(info[name], dtype=np.float64)
    except (TypeError, ValueError):
        values = np.empty(0)
    if values.ndim != 1 or not values.size or not (np.isfinite(values) & (values > 0.0)).all():
        raise RefusedError(f"{_place(files, name)}: {name} is no list of numbers above zero")
    return values


def _place(files: SetFiles, name: str) -> str:
    """Where an entry stands, for a message: the member overrides the set."""
    for path in (files.member, files.info):
        for number, text in enumerate(lines(path), 1):
            if text.strip().startswith(f"{name}:"):
                return f"{path}, line {number}"
    return str(files.info)
