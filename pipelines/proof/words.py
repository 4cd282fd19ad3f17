"""A comparison of derivatives in words, and the finding that it makes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from diffpipe.pipelines.proof.blame import Element
from diffpipe.pipelines.proof.compared import Compared, numbers
from diffpipe.pipelines.proof.finding import Finding, Verdict
from diffpipe.pipelines.proof.slopes import SURE
from diffpipe.pipelines.proof.trial import Moved, Trial


def finding(
    law: str,
    trial: Trial,
    moved: Moved,
    compared: Compared,
    search: Callable[[], Element | None],
) -> Finding:
    """What a comparison says; where it failed, of the one element that the search finds."""
    verdict, element = compared.verdict, None
    if verdict is Verdict.FAILED:
        element = search()
    found = _numbers(trial, moved, compared) if element is None else _of_element(element)
    return Finding(
        law, verdict, told(found, verdict, _why(trial, moved, compared)), moved.name, found
    )


def told(found: dict[str, Any], verdict: Verdict, why: str) -> str:
    """The numbers of a comparison in words; why: one that decides nothing does not."""
    if verdict is Verdict.OPEN:
        return f"{_both(found)}: {why}"
    return f"{_both(found)}{_falls(found, failed=verdict is Verdict.FAILED)}"


def why_open(compared: Compared) -> str:
    """What keeps differences from being sharp."""
    if not np.isfinite(compared.tolerance):
        return "no step gives finite outputs"
    why = "a kink or a cut is near, or the outputs scatter"
    if compared.size <= compared.tolerance:
        return f"differences are no sharper: {why}"
    return f"differences are right to {compared.tolerance / compared.size:.0e} of it: {why}"


def _numbers(trial: Trial, moved: Moved, compared: Compared) -> dict[str, Any]:
    if moved.value.size != 1:
        return compared.numbers()
    place = {"of": trial.layout.place(0), "wrt": moved.name} if trial.layout.size == 1 else {}
    unit = float(trial.direction(moved).real.item())
    return place | {"at": float(moved.value.real.item())} | compared.numbers(unit)


def _of_element(element: Element) -> dict[str, Any]:
    place = {"of": element.of, "wrt": element.wrt, "at": element.at}
    tolerance = SURE * element.error
    return place | numbers(element.given, element.expected, tolerance, element.rates)


def _both(found: dict[str, Any]) -> str:
    what = f"d {found['of']} / d {found['wrt']}" if "of" in found else "<w, J v>"
    given, expected, tolerance = (found[n] for n in ("given", "differences", "tolerance"))
    return f"{what}: given {given:.10g}, by differences {expected:.10g} ± {tolerance:.1g}"


def _falls(found: dict[str, Any], *, failed: bool) -> str:
    """The powers of h, from one step to the next, with which the Taylor remainder falls."""
    shown = " ".join(f"{power:.2f}" for _, power in found["rates"])
    text = f"; Taylor rates {shown}" if shown else "; no Taylor remainder above rounding"
    if not failed:
        return text
    expected = found["differences"]
    ratio = f" (times {found['given'] / expected:.6g})" if expected else ""
    place = f", at {found['at']:.8g}" if "at" in found else ""
    return f"{ratio}{place}{text}, where 2 is right"


def _why(trial: Trial, moved: Moved, compared: Compared) -> str:
    refused = trial.refusals.get(moved.array)
    if refused is not None:
        return f"the stage refuses values near by ({refused})"
    return why_open(compared)
