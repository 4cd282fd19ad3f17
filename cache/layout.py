"""Where everything is: the only module that knows the paths of a store.

<root>/store.json              {"format": 1}
<root>/objects/<key>/          one artefact, a zarr group; one folder an array, one file a shard
<root>/damaged/                what failed its checksum, moved aside
<root>/staging/                artefacts being made, renamed into objects/ when complete
<root>/runs/<id>/              plan.json, tasks, records, logs and Snakemake's work folder
<root>/compiled/<machine>/     XLA's compiled functions
<root>/lock                    held by the run at work
"""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_ROOT = Path(".diffpipe/store")
ROOT_VARIABLE = "DIFFPIPE_STORE"


def unique() -> str:
    """A name that no other process uses."""
    return os.urandom(12).hex()


def default_root() -> Path:
    """The store's folder where none is named: $DIFFPIPE_STORE, else .diffpipe/store here."""
    return Path(os.environ.get(ROOT_VARIABLE) or DEFAULT_ROOT).expanduser().absolute()


def chunk_name(dimensions: int, shard: int) -> str:
    """The file of one shard in an array's folder: zarr's default encoding, separator '.'."""
    return ".".join(["c", *[str(shard), *["0"] * (dimensions - 1)][:dimensions]])


def chunk_shard(name: str) -> int | None:
    """The shard whose chunk has this file name; None for other files."""
    parts = name.split(".")
    if parts[0] != "c" or not all(part.isdigit() for part in parts[1:]):
        return None
    return int(parts[1]) if len(parts) > 1 else 0


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
    def compiled(self) -> Path:
        return self.root / "compiled"

    @property
    def code(self) -> Path:
        return self.root / "code.json"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    def artefact(self, key: str) -> Path:
        return self.objects / key

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
    def outcome(self) -> Path:
        return self.folder / "outcome.json"

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
