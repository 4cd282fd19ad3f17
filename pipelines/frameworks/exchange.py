"""The exchange of arrays with a program: a work folder of .npy files, and a request in JSON.

    request.json                  what is to be done, what is given, what is wanted
    parameters/NAME.npy           given; of a dataset inputs/NAME/COLUMN.npy
    inputs/NAME.npy
    outputs/NAME.npy              wanted

Given and wanted are trees: folder -> name -> array. Files are little endian, in C order.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from diffpipe.cache.errors import PipelineError, StageError
from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.core.targets import Program
from diffpipe.pipelines.frameworks import programs

PROTOCOL = 1
Tree = Mapping[str, Any]  # name -> an array, an Expected, or a tree of them


class Expected(NamedTuple):
    """An array that a program has to write; None in its shape: one row per event."""

    shape: tuple[int | None, ...]
    dtype: str

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is one."""
        pairs = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(want in (None, n) for want, n in pairs)


def exchange(call: Call, do: str, given: Tree, wanted: Tree) -> dict[str, Any]:
    """What the program of a stage writes of `wanted`, as the same tree of arrays.

    Raises StageError for a program that fails, and for files that are not what they should be.
    """
    program = call.code
    assert isinstance(program, Program)
    with TemporaryDirectory(prefix="diffpipe-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        request = {
            "protocol": PROTOCOL,
            "do": do,
            "stage": call.stage,
            "options": call.options,
            "given": _written(call, folder, Path(), given),
            "wanted": _asked(folder, Path(), wanted),
        }
        (folder / "request.json").write_text(json.dumps(request, indent=2))
        programs.run(call.stage, program, do, folder)
        return _read(call, folder, Path(), wanted)


def _written(call: Call, folder: Path, place: Path, tree: Tree) -> dict[str, Any]:
    """Write the arrays of a tree below a place; what the request says of them."""
    (folder / place).mkdir(exist_ok=True)
    said: dict[str, Any] = {}
    for name, each in tree.items():
        _check_name(call, place, name)
        if isinstance(each, Mapping):
            said[name] = _written(call, folder, place / name, each)
            continue
        file = place / f"{name}.npy"
        array = np.asarray(each, order="C")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        np.save(folder / file, array, allow_pickle=False)
        said[name] = _entry(file, array.shape, str(array.dtype))
    return said


def _asked(folder: Path, place: Path, tree: Tree) -> dict[str, Any]:
    """What the request says of the arrays wanted; their folders are made."""
    (folder / place).mkdir(exist_ok=True)
    return {
        name: _asked(folder, place / name, each)
        if not isinstance(each, Expected)
        else _entry(place / f"{name}.npy", each.shape, each.dtype)
        for name, each in tree.items()
    }


def _entry(file: Path, shape: tuple[int | None, ...], dtype: str) -> dict[str, Any]:
    return {"file": str(file), "shape": list(shape), "dtype": dtype}


def _check_name(call: Call, place: Path, name: str) -> None:
    """Columns of data may have any name; a file may not."""
    if not name or "/" in name or "\0" in name or name.startswith("."):
        text = f"stage {call.stage}: {place.name}.{name} cannot be given to a program as a file"
        raise PipelineError(text, hint="rename the column", stage=call.stage)


def _read(call: Call, folder: Path, place: Path, tree: Tree) -> dict[str, Any]:
    return {
        name: _array(call, folder, place / f"{name}.npy", each)
        if isinstance(each, Expected)
        else _read(call, folder, place / name, each)
        for name, each in tree.items()
    }


def _array(call: Call, folder: Path, file: Path, expected: Expected) -> np.ndarray:
    """An array as a program wrote it; nothing is unpickled, nothing read that was not asked for."""
    path = folder / file
    if not path.is_file():
        raise _wrong(call, f"wrote no {file}; it wrote {_listed(path.parent)}")
    try:
        found = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise _wrong(call, f"wrote a {file} that is no whole .npy file: {error}") from error
    if found.dtype != np.dtype(expected.dtype):
        raise _wrong(call, f"wrote {file} as {found.dtype}, wanted {expected.dtype}")
    if not expected.takes(found.shape):
        wanted = ", ".join("events" if n is None else str(n) for n in expected.shape)
        raise _wrong(call, f"wrote {file} with shape {found.shape}, wanted ({wanted})")
    return np.array(found, order="C")


def _listed(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*"))
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"


def _wrong(call: Call, what: str) -> StageError:
    return StageError(
        f"stage {call.stage}: {call.code} {what}",
        hint="nothing of this was stored; mend the program and run the same command",
        stage=call.stage,
    )
