"""Where everything is: the only module that knows the paths of a store.

<root>/store.json              {"format": 1}
<root>/objects/<key>/          an artefact, a zarr group; a folder an array, a file a shard or block
<root>/damaged/                what failed its checksum, moved aside
<root>/staging/                artefacts being made, renamed into objects/ when complete
<root>/runs/<id>/              plan.json, tasks, records, logs and Snakemake's work folder
<root>/evaluations/<key>.json  an objective and its slopes at a point that a fit has been to
<root>/checks/<key>.json       when a stage or a gradient was last put to the proof, and the verdict
<root>/checkpoints/<key>.json  what a shard of a stage takes with its residuals stored, and without
<root>/code.json               digests of source files, so that they are not parsed each time
<root>/pilots/                 what runs submitted whole to a cluster printed
<root>/lock                    held by the run at work
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEFAULT_ROOT = Path(".diffpipe/store")
ROOT_VARIABLE = "DIFFPIPE_STORE"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_MOST_CHARACTERS = 1000  # of a name; those of nested pipelines add up


def unique() -> str:
    """A name that no other process uses."""
    return os.urandom(12).hex()


def default_root() -> Path:
    """The store's folder where none is named: $DIFFPIPE_STORE, else .diffpipe/store here."""
    return Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).expanduser().absolute()


def chunk_name(dimensions: int, shard: int) -> str:
    """The file of one shard in an array's folder: zarr's default encoding, separator '.'."""
    return ".".join(["c", *[str(shard), *["0"] * (dimensions - 1)][:dimensions]])


def chunk_shard(dimensions: int, name: str) -> int | None:
    """The shard whose chunk has this file name; None for other files."""
    match = _chunk_pattern(dimensions).fullmatch(name)
    return None if match is None else int(match["shard"] or 0)


@cache
def _chunk_pattern(dimensions: int) -> re.Pattern[str]:
    """Just the names that `chunk_name` gives; more digits than any store has shards are none."""
    shard = r"\.(?P<shard>0|[1-9][0-9]{0,7})" if dimensions else "(?P<shard>)"
    return re.compile("c" + shard + r"\.0" * (dimensions - 1))


def is_key(name: str) -> bool:
    """Whether this can be the key of an artefact, and the name of its folder."""
    return _KEY.fullmatch(name) is not None


def is_name(value: object) -> bool:
    """Whether this can name a stage or an array (its folder): words joined by dots."""
    if not isinstance(value, str) or len(value) > _MOST_CHARACTERS:
        return False
    return all(word.isidentifier() for word in value.split("."))


@dataclass(frozen=True)
class Layout:
    """The paths below one store's root folder."""

    root: Path

    @property
    def format_file(self) -> Path:
        return self.root / "store.json"

    @property
    def objects(self) -> Path:
        return self.root / "objects"

    @property
    def damaged(self) -> Path:
        return self.root / "damaged"

    @property
    def staging(self) -> Path:
        return self.root / "staging"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def evaluations(self) -> Path:
        return self.root / "evaluations"

    @property
    def checks(self) -> Path:
        return self.root / "checks"

    @property
    def checkpoints(self) -> Path:
        return self.root / "checkpoints"

    @property
    def pilots(self) -> Path:
        return self.root / "pilots"

    @property
    def code(self) -> Path:
        return self.root / "code.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def artefact(self, key: str) -> Path:
        return self.objects / key

    def evaluation(self, key: str) -> Path:
        return self.evaluations / f"{key}.json"

    def check(self, key: str) -> Path:
        return self.checks / f"{key}.json"

    def checkpoint(self, key: str) -> Path:
        return self.checkpoints / f"{key}.json"

    def run(self, run_id: str) -> "RunLayout":
        return RunLayout(self.runs / run_id)


@dataclass(frozen=True)
class RunLayout:
    """The paths of one run."""

    folder: Path

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def started(self) -> Path:
        return self.folder / "started.json"

    @property
    def jobs(self) -> Path:
        return self.folder / "jobs"

    @property
    def predicted(self) -> Path:
        return self.folder / "predicted.json"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def snakemake_log(self) -> Path:
        return self.folder / "snakemake.log"

    @property
    def records(self) -> Path:
        return self.folder / "records"

    @property
    def done(self) -> Path:
        return self.folder / "done"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def record(self, task: str) -> Path:
        return self.records / f"{task}.jsonl"

    def marker(self, task: str) -> Path:
        return self.done / task

    def log(self, task: str) -> Path:
        return self.logs / f"{task}.log"

    def error(self, task: str) -> Path:
        return self.logs / f"{task}.error.json"
