"""The tree of a lineage, as rows of a table: each step under what reads it, shown whole once."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from diffpipe.pipelines.core.steps import DataSource
    from diffpipe.rules.provenance.lineage import Link

COLUMNS = ("made from", "function", "key", "stored", "seconds", "run")
NUMBERS = (3, 4)  # the columns that are
_DIGITS = 8  # of a key
_NARROW = 24  # characters of a function
_WIDE = 80  # characters of a list of parameters
_Row = list[str]


@dataclass(frozen=True)
class Tree:
    """The links to draw. short: run -> the name that it is shown by."""

    links: "Mapping[str, Link]"
    short: Mapping[str, str]
    parameters: Mapping[str, Mapping[str, Any]]  # step -> the parameters that it is given
    _drawn: set[str] = field(default_factory=set)

    def rows(
        self, step: str, arrays: list[str], head: str = "", indent: str = ""
    ) -> Iterator[_Row]:
        """A step and all that it is made from; `head` and `indent` draw the branches."""
        link = self.links[step]
        if step in self._drawn:
            yield [f"{head}{_title(link, arrays)} (above)"]
            return
        self._drawn.add(step)
        yield [f"{head}{_title(link, arrays)}", *self._facts(link)]
        leaves = [*self._leaves(link)]
        for number, (name, read) in enumerate(link.reads.items(), start=1):
            is_last = number == len(link.reads) and not leaves
            corner, line = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            yield from self.rows(name, read, indent + corner, indent + line)
        for number, text in enumerate(leaves, start=1):
            yield [f"{indent}{'└─ ' if number == len(leaves) else '├─ '}{text}"]

    def _facts(self, link: "Link") -> _Row:
        names = [self.short[each.run.folder.name] for each in link.made]
        more = f" +{len(names) - 1}" if len(names) > 1 else ""
        return [
            _function(link),
            link.step.key[:_DIGITS],
            f"{link.present}/{link.step.slots}",
            f"{sum(each.seconds for each in link.made):.3f}" if names else "",
            f"{names[-1]}{more}" if names else "",
        ]

    def _leaves(self, link: "Link") -> Iterator[str]:
        """What no step makes: data, events, parameters."""
        for files, digest in _data(link).items():
            yield f"data {files} ({digest[:_DIGITS]})"
        call = link.step.call
        if call and call.source and call.sample:
            count, shard, seed = call.sample
            shards = f"{link.step.slots} shards of {shard}" if link.step.slots > 1 else "one shard"
            yield f"{count} events in {shards}" + (f", seed {seed}" if seed else "")
        given = self.parameters[link.step.id].items()
        if given:
            values = ", ".join(f"{name} = {_brief(value)}" for name, value in given)
            yield textwrap.shorten(values, _WIDE, placeholder=" ...")


def _title(link: "Link", arrays: list[str]) -> str:
    """`stage.output`, or `stage: gradient.name` of what is not an output."""
    named = ", ".join(filter(None, arrays))
    is_output = link.step.kind == "primal" or link.step.id.endswith(":primal:sum")
    return link.step.stage + (("." if is_output else ": ") + named if named else "")


def _function(link: "Link") -> str:
    step = link.step
    if step.kind == "primal":
        name = str(step.ingredients["function"]).rpartition(":")[2]
        return textwrap.shorten(name, _NARROW, placeholder="...")
    return "sum over shards" if step.kind == "reduction" else step.kind


def _data(link: "Link") -> dict[str, str]:
    """Files -> the digest of the dataset that they are."""
    keys = link.step.ingredients.get("inputs", {})
    return {_files(each): keys[name][1] for name, each in link.data.items() if name in keys}


def _files(source: "DataSource") -> str:
    return ", ".join(Path(path).name for path in source.files.values())


def _brief(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return f"{value:.8g}"
    shown = ", ".join(_brief(each) for each in value[:3])
    return f"[{shown}{', ...' if len(value) > 3 else ''}]"
