"""The Slurm cluster of the tests: it runs jobs, has GPUs, and is gone afterwards."""

import tempfile
from pathlib import Path

import pytest
from cluster import LINKS, slurm_cluster


@pytest.fixture(scope="module")
def cluster():
    """A cluster in a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        with slurm_cluster(Path(folder)) as running:
            yield running
        assert not any(link.is_symlink() for link in LINKS)


def test_a_command_runs_on_the_node(cluster):
    assert cluster.ask("srun", "echo", "hello") == "hello"


def test_a_gpu_is_given(cluster):
    assert cluster.ask("srun", "--gpus=1", "printenv", "CUDA_VISIBLE_DEVICES") in ("0", "1")


def test_jobs_run_side_by_side_until_cleared(cluster):
    for _ in range(5):
        cluster.ask("sbatch", "--output=/dev/null", "--wrap=sleep 100")
    cluster.wait(lambda: sorted(cluster.jobs("%T")) == ["PENDING"] + ["RUNNING"] * 4)
    cluster.clear()
    assert not cluster.jobs()


def test_a_partition_has_a_time_limit(cluster):
    assert cluster.ask("sinfo", "-h", "--format=%P %l") == "debug* infinite\nshort 1:00"
