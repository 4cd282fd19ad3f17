"""Every test: float64, no silent dtype or rank promotion, warnings are errors."""

import os

os.environ["NPROC"] = "1"  # as in a worker: XLA's bits depend on its number of threads
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")

import jax
import pytest

from diffpipe.cache.store import Store

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def store(tmp_path):
    """An empty store of this test's own."""
    return Store.open(tmp_path / "store")
