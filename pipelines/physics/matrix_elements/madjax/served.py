"""Which processes the classes of a package compute, read from the comments in their text.

A class is named after one of its processes, `Matrix_1_uux_mupmum`; what else it stands for, other
flavours, excluded propagators and coupling orders, is in the comments `# Process: ...` of its code,
with lines `# * Decay: ...` below, indented by their depth. Where there are none, the name is all.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from diffpipe.pipelines.physics.matrix_elements.process.concrete import Process, expand
from diffpipe.pipelines.physics.matrix_elements.process.notation import parse

_CLASS = re.compile(r"^class\s+(\w+)", re.MULTILINE)
_LINE = re.compile(r"^\s*#[\s*]*\b(Process|Decay):(.*)$", re.MULTILINE)
_NAME = re.compile(r"Matrix_(\d+)_(\w+)")


@dataclass(frozen=True)
class Served:
    """One process of a class.

    number: the N of `@N` in MadGraph; text: the process as the comment has it, or the name; process
    is None where there is no comment, or one that the native engine cannot read.
    """

    name: str
    number: int
    text: str
    process: Process | None

    def __str__(self) -> str:
        return f"{self.text} ({self.name})"


def processes(source: str) -> list[Served]:
    """Everything that the classes in a text compute."""
    starts = [*_CLASS.finditer(source)]
    ends = [each.start() for each in starts[1:]] + [len(source)]
    return [
        each
        for start, end in zip(starts, ends, strict=True)
        for each in _of_class(start.group(1), source[start.end() : end])
    ]


def shell(process: Process) -> str:
    """A process as in the names of classes: `uux_mupmum`, decays after it."""
    words = ["".join(process.initial), *map("".join, process.required), "".join(process.final)]
    core = "_".join(words).replace("+", "p").replace("-", "m").replace("~", "x")
    return "_".join([core, *(shell(each) for each in process.decays if each)])


def _of_class(name: str, text: str) -> list[Served]:
    match = _NAME.fullmatch(name)
    if match is None:
        return []
    number, lines = int(match.group(1)), dict.fromkeys(_texts(text))
    found = [Served(name, number, line, _read(line)) for line in lines]
    return found or [Served(name, number, match.group(2), None)]


def _texts(text: str) -> list[str]:
    """The processes of the comments with their decays, in MadGraph's notation."""
    found: list[tuple[str, list[tuple[int, str]]]] = []
    for match in _LINE.finditer(text):
        if match.group(1) == "Process":
            found.append((match.group(2), []))
        elif found:
            column = match.start(1) - match.start()
            found[-1][1].append((column, match.group(2)))
    return [_chain(head, decays) for head, decays in found]


def _chain(head: str, decays: Sequence[tuple[int, str]]) -> str:
    """`head, decay, (decay, decay of a product)`, the deeper the further to the right."""
    parts, start = [head.strip()], 0
    while start < len(decays):
        column, text = decays[start]
        stop = start + 1
        while stop < len(decays) and decays[stop][0] > column:
            stop += 1
        inner = _chain(text, decays[start + 1 : stop])
        parts.append(f"({inner})" if stop > start + 1 else inner)
        start = stop
    return ", ".join(parts)


def _read(text: str) -> Process | None:
    try:
        (process,) = expand(parse(text))
    except ValueError:  # refused, or several
        return None
    return process
