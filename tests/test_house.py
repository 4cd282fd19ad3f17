"""The house: imports point down, packages are listed, the wheel has what it needs."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = ("cache", "pipelines", "rules", "cli")  # each may import those before it
CORE = ROOT / "pipelines" / "core"


def modules(folder):
    return sorted((ROOT / folder).rglob("*.py"))


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down(floor):
    above = {f"diffpipe.{each}" for each in FLOORS[FLOORS.index(floor) + 1 :]}
    for path in modules(floor):
        for name in imported(path):
            assert ".".join(name.split(".")[:2]) not in above, f"{path} imports {name}"


def test_physics_knows_nothing_of_the_runner():
    for path in modules("pipelines/physics"):
        for name in imported(path):
            own = name.startswith("diffpipe.pipelines.physics")
            assert own or not name.startswith("diffpipe"), f"{path} imports {name}"


def test_only_layout_knows_the_paths_of_a_store():
    for floor in FLOORS:
        for path in modules(floor):
            if path.name != "layout.py":
                assert '"objects"' not in path.read_text(), path


def test_every_package_is_listed_for_the_wheel():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {path.parent for floor in FLOORS for path in (ROOT / floor).rglob("__init__.py")}
    names = {"diffpipe", *("diffpipe." + ".".join(p.relative_to(ROOT).parts) for p in found)}
    assert set(listed) == names


def test_no_module_at_the_root_would_ship_by_accident():
    assert not list(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.stem)
def test_the_planning_core_does_not_import_a_framework(path):
    names = {name.split(".")[0] for name in imported(path)}
    assert not names & {"jax", "torch", "tensorflow", "snakemake"}
