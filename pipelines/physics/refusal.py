"""The refusal of what a user asked for, with a word on what to try."""

from collections.abc import Iterable
from difflib import get_close_matches


class RefusedError(ValueError):
    """What was asked cannot be computed; shown without a traceback, `hint` below the message."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of the known names, whatever their case, or lists them."""
    names = {each.lower(): each for each in known}
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.6)
    if near:
        return f"did you mean {' or '.join(names[each] for each in near)}?"
    return f"known: {', '.join(names.values())}"
