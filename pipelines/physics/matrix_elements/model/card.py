"""Parameter cards in the SLHA format (hep-ph/0311123), as MadGraph writes them for `sm`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from diffpipe.pipelines.physics.matrix_elements.model import couplings
from diffpipe.pipelines.physics.matrix_elements.model.parameters import DEFAULTS, ENTRIES
from diffpipe.pipelines.physics.matrix_elements.model.particles import PARTICLES
from diffpipe.pipelines.physics.refusal import RefusedError

MW_TOLERANCE = 1e-4  # cards print the derived mass with 7 digits, of inputs they print likewise
_MASSLESS = {abs(each.pdg) for each in PARTICLES.values() if each.mass is None}
_STABLE = {abs(each.pdg) for each in PARTICLES.values() if each.width is None}


def param_card(path: Path) -> dict[str, np.ndarray]:
    """The inputs a card sets, by name; a reader of data files.

    Zeros for massless and stable particles are understood, and an MW that agrees with the other
    inputs. Raises RefusedError with file and line for any other entry that the model does not have.
    """
    found: dict[str, float] = {}
    mw: tuple[int, float] | None = None
    for line, block, code, value in _entries(path):
        if (block, code) in ENTRIES:
            found[ENTRIES[block, code]] = value
        elif (block, code) == ("mass", 24):
            mw = line, value
        elif value or code not in {"mass": _MASSLESS, "decay": _STABLE}.get(block, ()):
            raise _unknown(path, line, block, code, value)
    _check_mw(path, found, mw)
    return {name: np.asarray(value) for name, value in found.items()}


def _entries(path: Path) -> Iterator[tuple[int, str, int, float]]:
    """(line, block, code, value) of each entry; branching ratios are passed over."""
    block = ""
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        words = raw.split("#")[0].lower().split()
        if not words:
            continue
        if words[0] == "block":
            block = words[1] if len(words) > 1 else ""
        elif words[0] == "decay":
            block = "branching ratios"
            yield number, "decay", *_numbers(path, number, raw, words[1:])
        elif block != "branching ratios":
            yield number, block, *_numbers(path, number, raw, words)


def _numbers(path: Path, line: int, raw: str, words: list[str]) -> tuple[int, float]:
    try:
        code, value = words
        return int(code), float(value)
    except ValueError as error:
        raise RefusedError(
            f"{path}, line {line}: not a code and a number: {raw.strip()!r}"
        ) from error


def _unknown(path: Path, line: int, block: str, code: int, value: float) -> RefusedError:
    known = ", ".join(f"{b} {c} ({name})" for (b, c), name in ENTRIES.items())
    return RefusedError(
        f"{path}, line {line}: the model has no free parameter {block} {code} = {value:g}",
        hint=f"leave the line out, or set it to 0 where it is a mass or width; known: {known}",
    )


def _check_mw(path: Path, found: dict[str, float], mw: tuple[int, float] | None) -> None:
    inputs: dict[str, Any] = DEFAULTS | found
    derived = float(couplings.electroweak(inputs)[0])
    if mw is not None and abs(mw[1] - derived) > MW_TOLERANCE * derived:
        raise RefusedError(
            f"{path}, line {mw[0]}: MW = {mw[1]:g}, but MZ, aEWM1 and Gf give {derived:.6f}",
            hint="change one of the inputs; the mass of the W follows",
        )
