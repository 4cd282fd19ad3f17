"""Where the files of an LHAPDF set are; nothing is read, and the standard library is enough.

A set is a folder `<set>` with `<set>.info` and one `<set>_<nnnn>.dat` per member
(arXiv:1412.7420, section 4).
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from diffpipe.pipelines.physics.refusal import RefusedError, did_you_mean

SEARCH_PATHS = ("LHAPDF_DATA_PATH", "LHAPATH")  # lists of folders of sets
_LISTED = 6  # member numbers that a message lists one by one


class SetFiles(NamedTuple):
    """The files of one member of a set."""

    info: Path
    member: Path


def locate(name: str, folder: Path) -> SetFiles:
    """The files of a member, from text such as "SET/0" or "path/to/SET/12".

    The set is a path from `folder` or, without one, a name looked for in `folder` and in the
    folders of the environment variables LHAPDF_DATA_PATH and LHAPATH. Without a number: member 0.
    Raises RefusedError for a set or a member that is not there, with what is.
    """
    text, number = _split(name)
    found = next((path for path in _candidates(text, folder) if path.is_dir()), None)
    if found is None:
        raise _no_set(text, folder)
    info = found / f"{found.name}.info"
    if not info.is_file():
        raise RefusedError(
            f"{found} is no LHAPDF set: it has no {info.name}",
            hint="give the folder that has the .info and .dat files",
        )
    member = found / f"{found.name}_{number:04d}.dat"
    if not member.is_file():
        raise _no_member(found, number)
    return SetFiles(info, member)


def _split(name: str) -> tuple[str, int]:
    """The set and the member's number."""
    head, _, last = name.rstrip("/").rpartition("/")
    if head and re.fullmatch("[0-9]+", last):
        return head.rstrip("/"), int(last)
    return name.rstrip("/"), 0


def _candidates(text: str, folder: Path) -> Iterator[Path]:
    if not text:
        return
    yield Path(os.path.abspath(folder / text))  # noqa: PTH100  a link keeps its name, as it is the set's
    if "/" not in text:
        yield from (each / text for each in _search_path())


def _search_path() -> list[Path]:
    listed = (os.environ.get(variable, "") for variable in SEARCH_PATHS)
    return [Path(each) for paths in listed for each in paths.split(os.pathsep) if each]


def _no_set(text: str, folder: Path) -> RefusedError:
    places = [folder] if "/" in text else [folder, *_search_path()]
    looked = ", ".join(map(str, places))
    known = sorted({each for place in places for each in _sets(place)})
    nearest = f"; {did_you_mean(text, known)}" if known else ""
    return RefusedError(
        f"there is no LHAPDF set {text!r} in {looked}",
        hint=f"give its folder, or set LHAPDF_DATA_PATH to the folder of your sets{nearest}",
    )


def _sets(folder: Path) -> list[str]:
    return [path.parent.name for path in folder.glob("*/*.info") if path.stem == path.parent.name]


def _no_member(found: Path, number: int) -> RefusedError:
    pattern = re.compile(re.escape(found.name) + r"_([0-9]{4,})\.dat")
    matches = (pattern.fullmatch(path.name) for path in found.iterdir())
    there = sorted(int(match[1]) for match in matches if match)
    listed = [str(each) for each in there]
    if len(there) > _LISTED:
        listed = [*listed[:2], "...", listed[-1]]
    members = f"its {len(there)} members are {', '.join(listed)}" if there else "it has no members"
    return RefusedError(f"the LHAPDF set {found} has no member {number}", hint=members)
