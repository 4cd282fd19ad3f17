"""Events of a ROOT file: columns of a tree, one number for each event.

The branches that are asked for are read whole, once in a process, by uproot.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffpipe.pipelines.physics import checks
from diffpipe.pipelines.physics.events import sequence
from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

STAGE = "root"
REFUSE, DROP = LACKING = ("refuse", "drop")
TREES = ("TTree", "ROOT::RNTuple")
MOST_LISTED = 40


class Branch(NamedTuple):
    """A branch, and which entry of it where an event has several."""

    name: str
    entry: int | None

    def __str__(self) -> str:
        return self.name if self.entry is None else f"{self.name}[{self.entry}]"


def root(
    start: int,
    stop: int,
    *,
    count: int,
    seed: int,  # noqa: ARG001  a source takes both
    path: Path,
    tree: str,
    branches: Mapping[str, str],
    lacking: str = REFUSE,
) -> dict[str, np.ndarray]:
    """Events start..stop of a tree (TTree or RNTuple) of a ROOT file, float64.

    Outputs: one column (event,) for each name in `branches`, in the file's unit.
    Options: tree, its name; branches, a mapping of column names to branches of one number for each
    event, `pt1`, or to one entry of those with several, `Muon_pt[0]`; lacking, what happens to
    events without such an entry: refuse, or drop, which leaves them out before events are counted.
    Raises RefusedError, naming the file, for a tree or branch that it lacks (with those it has), a
    value that is not a finite number, or fewer events than `count`; ValueError for a wrong option
    or what is no ROOT file; ImportError without uproot.
    """
    asked = tuple((str(name), _branch(name, said)) for name, said in _mapping(branches).items())
    checks.one_of(STAGE, "lacking", lacking, LACKING)
    state = path.stat()
    columns = _columns(path, (state.st_size, state.st_mtime_ns), tree, asked, lacking)
    found = len(next(iter(columns.values())))
    if count > found:
        raise RefusedError(
            f"{STAGE}: {path} has {found} events, got count {count}", hint="ask for fewer"
        )
    sequence.check_range(STAGE, start, stop, count)
    return {name: column[start:stop] for name, column in columns.items()}


@lru_cache(maxsize=2)
def _columns(
    path: Path,
    state: tuple[int, int],  # noqa: ARG001  what is kept is of one state of the file
    tree: str,
    asked: tuple[tuple[str, Branch], ...],
    lacking: str,
) -> dict[str, np.ndarray]:
    """The columns of all events that are kept."""
    arrays = _read(path, tree, [branch for _, branch in asked])
    whole = {branch: _has(path, branch, array) for branch, array in arrays.items()}
    kept = np.logical_and.reduce(list(whole.values()))
    if lacking == REFUSE and not kept.all():
        _refuse_lacking(path, whole)
    columns = {name: _column(branch, arrays[branch][kept]) for name, branch in asked}
    for name, column in columns.items():
        _check_finite(path, name, column, np.flatnonzero(kept))
        column.setflags(write=False)
    return columns


def _read(path: Path, tree: object, asked: list[Branch]) -> dict[Branch, Any]:
    uproot = _uproot()
    try:
        with uproot.open(path) as file:
            found = _tree(path, file, tree)
            _check_known(path, found, asked)
            return {branch: found[branch.name].array(library="ak") for branch in asked}
    except RefusedError:
        raise
    except Exception as error:
        raise ValueError(
            f"{STAGE}: cannot read {path}: {error} (is it a whole ROOT file?)"
        ) from error


def _uproot() -> Any:
    try:
        import awkward  # noqa: F401  uproot needs it, and says so late
        import uproot  # slow to import, and an extra
    except ImportError as error:
        raise ImportError(
            f"{STAGE}: ROOT files are read with uproot: pip install 'diffpipe[root]'"
        ) from error
    return uproot


def _tree(path: Path, file: Any, name: object) -> Any:
    trees = [each for each, kind in file.classnames(cycle=False).items() if kind in TREES]
    if not isinstance(name, str) or name not in trees:
        hint = did_you_mean(str(name), trees) if trees else "the file has none"
        raise RefusedError(f"{STAGE}: {path} has no tree {name!r}", hint=hint)
    return file[name]


def _check_known(path: Path, tree: Any, asked: list[Branch]) -> None:
    known = list(tree.keys())
    for branch in asked:
        if branch.name not in known:
            near, listed = did_you_mean(branch.name, known), ", ".join(known[:MOST_LISTED])
            more = f", ... ({len(known)} in all)" if len(known) > MOST_LISTED else ""
            raise RefusedError(
                f"{STAGE}: {path}: the tree {tree.name} has no branch {branch.name!r}",
                hint=f"{near} (available: {listed}{more})",
            )


def _has(path: Path, branch: Branch, array: Any) -> np.ndarray:
    """Whether each event has the entry that is asked for."""
    import awkward

    if array.ndim != (1 if branch.entry is None else 2):
        kind = "one number" if array.ndim == 1 else "several entries"
        raise ValueError(
            f"{STAGE}: {path}: branch {branch.name} has {kind} for each event, got {str(branch)!r} "
            f"(write {branch.name if array.ndim == 1 else branch.name + '[0]'})"
        )
    if branch.entry is None:
        return np.ones(len(array), dtype=bool)
    return np.asarray(awkward.num(array, axis=1)) > branch.entry


def _column(branch: Branch, array: Any) -> np.ndarray:
    import awkward

    values = array if branch.entry is None else array[:, branch.entry]
    try:
        return np.array(awkward.to_numpy(values), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{STAGE}: branch {branch.name} holds no numbers: {error}") from error


def _refuse_lacking(path: Path, whole: Mapping[Branch, np.ndarray]) -> None:
    for branch, has in whole.items():
        if not has.all():
            raise RefusedError(
                f"{STAGE}: {path}: event {int(np.argmin(has))} has no {branch}, as "
                f"{int((~has).sum())} of {has.size} events",
                hint=f"to leave such events out, write lacking: {DROP}",
            )


def _check_finite(path: Path, name: str, column: np.ndarray, events: np.ndarray) -> None:
    finite = np.isfinite(column)
    if not finite.all():
        row = int(np.argmin(finite))
        raise RefusedError(
            f"{STAGE}: {path}: {name} of event {events[row]} is {column[row]}, not a finite number"
        )


def _mapping(branches: object) -> Mapping[str, object]:
    if not isinstance(branches, Mapping) or not branches:
        raise ValueError(
            f"{STAGE}: option branches must map column names to branches, such as "
            f"{{pt1: 'Muon_pt[0]'}}, got {branches!r}"
        )
    return branches


def _branch(name: object, said: object) -> Branch:
    text = said if isinstance(said, str) else ""
    branch, bracket, rest = text.partition("[")
    number = rest.removesuffix("]")
    if not branch or (bracket and not (number.isdecimal() and rest.endswith("]"))):
        raise ValueError(
            f"{STAGE}: option branches.{name} must be a branch or one entry of it, such as "
            f"Muon_pt[0], got {said!r}"
        )
    return Branch(branch, int(number) if bracket else None)
