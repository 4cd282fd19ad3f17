"""What the stage `evolve` brings along, in plain values."""

OWN = (
    "order",
    "points",
    "input",
)  # options that decide what is brought; the others are the stage's


def companions(options, parameters, folder):
    """A table by order and points; a start by what `input` names, a file or a function."""
    kind, _, name = options["input"].partition(":")
    if not isinstance(options["order"], int):
        refused = ValueError(f"the order is a number, got {options['order']!r}")
        refused.hint = "write order: 2"
        raise refused
    chosen = {word: options[word] for word in ("order", "points")}
    said = {
        "stages": {"table": {"uses": "table:table", "over": "once", "options": chosen}},
        "inputs": {"matrix": "table.matrix", "start": "start.start"},
        "parameters": [each for each in parameters if not each.startswith("start.")],
        "options": {word: value for word, value in options.items() if word not in OWN},
    }
    if kind == "file":
        said["data"] = {"start": {"reader": "csv", "path": str(folder / name)}}
        said["inputs"]["start"] = "data.start.start"
        return said
    said["stages"]["start"] = {
        "uses": options["input"],
        "over": "once",
        "inputs": {"x": "table.x"},
        "parameters": ["start.*"],
    }
    return said
