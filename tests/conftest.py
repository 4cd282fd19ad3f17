"""Every test: float64, no silent dtype or rank promotion, warnings are errors."""

# ruff: noqa: E402 (a worker's environment has to be there before jax is imported)

import os
from pathlib import Path

from diffpipe.rules import machine

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # processes are many and share what is compiled
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parent.parent / ".pytest_cache" / "xdg")
machine.prepare("cpu")

import jax
import pytest

from diffpipe.cache.store import Store

jax.config.update("jax_enable_compilation_cache", False)
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


# files that take longest begin first, so that no process is left with one in the end
LONGEST = (
    "test_slurm", "test_chaos", "test_readme", "test_laws", "test_fit", "test_workers", "test_me",
    "test_evolution", "test_matrix_elements", "test_phase_space", "test_pdf", "test_cli",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_addoption(parser):
    parser.addoption("--no-skip", action="store_true", help="a test that is skipped has failed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    if report.skipped and item.config.getoption("--no-skip"):
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report


@pytest.fixture
def store(tmp_path):
    """An empty store of this test's own."""
    return Store.open(tmp_path / "store")
