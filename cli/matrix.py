"""What derivatives of many things look like: tangents, Jacobians, products with the Hessian."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffpipe.cache.errors import UsageError

if TYPE_CHECKING:
    from diffpipe.pipelines.core.model import Pipeline
    from diffpipe.pipelines.core.results import Results, Stored
    from diffpipe.rules.drive import Finished
    from diffpipe.rules.modes import Option

_MOST_ROWS, _MOST_COLUMNS = 40, 6
_MOST_NAMED = 4  # of the parameters of a direction
_WIDE = 4  # columns: so many have fewer digits


def plain(value: Any) -> Any:
    """Numbers, lists and names, for JSON."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return asdict(value)
    return value.tolist() if hasattr(value, "tolist") else value


def document(results: "Results") -> dict[str, Any]:
    """What there is of these results; products are along one direction."""
    found = {
        "tangent": results.tangents,
        "jacobian": results.jacobian,
        "product": _first(results.products),
        "gradients": results.gradients,
    }
    return {name: plain(each) for name, each in found.items() if each}


def tables(finished: "Finished", pipeline: "Pipeline") -> Iterator[Any]:
    """A table, or a line, for each of what there is."""
    results, name = finished.results, pipeline.name
    if results.tangents:
        numbers, stored = _apart(results.tangents)
        rows = [(label, [value]) for each in numbers.items() for label, value in _labelled(*each)]
        if rows:
            yield table(f"{name}: tangents", "output", ["along the direction"], rows)
        yield from map(line, stored.items())
    if results.products:
        columns = ["gradient", "H v"]
        yield table(
            f"{name}: product with the Hessian",
            "parameter",
            columns,
            _side_by_side([results.gradient, _first(results.products)]),
        )
    if results.gradients:
        rows = _side_by_side(list(results.gradients.values()))
        yield table(f"{name}: gradients (per unit)", "parameter", list(results.gradients), rows)
    yield from _jacobian(finished, name)
    if finished.plan.goal.direction:
        yield _along(finished.plan.goal.direction)


def brief(value: Any, digits: int = 10) -> str:
    """A number, or the first of a list of them."""
    if not isinstance(value, list):
        return f"{value:.{digits}g}"
    shown = ", ".join(brief(each, digits) for each in value[:4])
    return f"[{shown}{', ...' if len(value) > 4 else ''}]"


def _along(direction: Mapping[str, Any]) -> str:
    """A direction in words; of many parameters, the first ones."""
    shown = [f"{name} = {brief(value, 5)}" for name, value in direction.items()]
    more = [f"{len(shown) - _MOST_NAMED} more: --json"] if len(shown) > _MOST_NAMED else []
    return f"along {', '.join([*shown[:_MOST_NAMED], *more])}"


def _jacobian(finished: "Finished", name: str) -> Iterator[Any]:
    import numpy as np

    from diffpipe.pipelines.core.sweeps.directions import components

    jacobian, blocks = finished.plan.goal.jacobian, finished.results.jacobian
    if jacobian is None:
        return
    columns = [label for each in jacobian.columns for label in components(each.name, each.shape)]
    rows: list[tuple[str, list[float]]] = []
    for row in jacobian.rows:
        if "*" in blocks[row.name]:
            yield line((row.name, blocks[row.name]["*"]))
            continue
        parts = [
            np.reshape(blocks[row.name][each.name], (row.size, each.size))
            for each in jacobian.columns
        ]
        matrix = np.concatenate(parts, axis=1).tolist()
        rows += zip(components(row.name, row.shape), matrix, strict=True)
    if rows:
        title = f"{name}: Jacobian, {len(rows)} x {len(columns)}"
        yield _upright(title, columns, rows)


def _upright(title: str, columns: list[str], rows: list[tuple[str, list[float]]]) -> Any:
    """Outputs by parameters, or parameters by outputs, whichever has fewer columns."""
    if len(columns) <= len(rows):
        return table(title, "output", columns, rows)
    labels, values = zip(*rows, strict=True)
    turned = list(zip(columns, zip(*values, strict=True), strict=True))
    return table(f"{title}, transposed", "parameter", labels, turned)


def table(
    title: str, corner: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float]]]
) -> Any:
    """Numbers under their columns; of what is too much for a screen, the first part."""
    from rich.table import Table

    left = max(len(rows) - _MOST_ROWS, 0), max(len(columns) - _MOST_COLUMNS, 0)
    more = "{} more rows and {} more columns: --json or --save".format(*left) if any(left) else None
    made = Table(title=title, title_justify="left", caption=more, caption_justify="left")
    made.add_column(corner, no_wrap=True)
    for name in columns[:_MOST_COLUMNS]:
        made.add_column(name, justify="right", no_wrap=True)
    digits = 8 if len(columns) < _WIDE else 4
    for label, values in rows[:_MOST_ROWS]:
        made.add_row(label, *(f"{value:+.{digits}e}" for value in values[:_MOST_COLUMNS]))
    return made


def line(item: "tuple[str, Stored]") -> str:
    """Where an array with a row per event is."""
    name, stored = item
    shape = " x ".join(map(str, stored.shape))
    where = "\n  + ".join(stored.arrays)
    return f"{name}: {shape} numbers, norm {stored.norm:.8g}, in\n  {where}"


def show_options(options: "list[Option]") -> None:
    """Say which way a Jacobian is taken, and what the others would have cost."""
    import sys

    first, *others = (f"{each.words} (predicted {_cost(each)})" for each in options[:4])
    instead = f", rather than {', '.join(others)}" if others else ""
    print(f"mode {first}{instead}", file=sys.stderr, flush=True)


def _cost(option: "Option") -> str:
    if option.relative:
        return f"{option.cost:.0f} times a stage's slot"
    return f"{option.cost:.3g} s"


def save(path: Path, results: "Results") -> None:
    """Write all arrays under names such as jacobian/<output>/<parameter>; raises UsageError."""
    write_arrays(path, {"gradient": results.gradient, **document(results)})


def write_arrays(path: Path, found: Mapping[str, Any]) -> None:
    """Numbers in nested mappings as one .npz file; raises UsageError."""
    import numpy as np

    arrays: dict[str, Any] = dict(_leaves("", found))
    try:
        with path.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise UsageError(f"--save {path}: {error.strerror or error}") from error


def _leaves(prefix: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        place = f"{prefix}/{name}" if prefix else name
        if isinstance(value, Mapping):
            yield from _leaves(place, value) if "arrays" not in value else ()
        elif isinstance(value, float | list) or hasattr(value, "dtype"):
            yield place, value


def _first(products: Mapping[str, Any]) -> dict[str, Any]:
    return {name: rows[0] for name, rows in products.items()}


def _apart(found: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is numbers, and what is too large for that."""
    stored = {name: each for name, each in found.items() if hasattr(each, "arrays")}
    return {name: each for name, each in found.items() if name not in stored}, stored


def _side_by_side(columns: list[Mapping[str, Any]]) -> list[tuple[str, list[float]]]:
    """The components of parameters, each with its number in every column."""
    rows: dict[str, list[float]] = {}
    for column in columns:
        for name, value in column.items():
            for label, number in _labelled(name, value):
                rows.setdefault(label, []).append(number)
    return list(rows.items())


def _labelled(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if not isinstance(value, list):
        yield name, value
        return
    for index, each in enumerate(value):
        yield from _labelled(f"{name}[{index}]", each)
