"""Chaos: a sweep is killed at random moments and run again, and nothing may be lost by it.

    python tests/chaos.py --kills 200 [--seed 1] [--store DIR]

A round begins with an empty store and no compiled functions. One command is run on it, struck by
SIGKILL and run again, until it ends by itself; then the store is compared with one that nobody
disturbed. Rounds follow each other until all kills are made. Half of the moments lie anywhere in
the length of a run, the others just after one of its phases has begun, since some phases are short.
The seed fixes what is drawn, not what the machine is doing then. A store in which something is
wrong is kept.

A kill strikes the whole process group, or the head alone (its workers notice after the slot in
flight, when the next run may be at work already), or one worker (the run goes on with a fresh one;
it is struck again, or left alone and has to end).

How executions are counted: each line of a record is an executed slot. A worker that is struck has
at most one slot in flight, of which nothing, some chunks or all may be stored, and which has no
line yet. So for each worker that was struck (all, where the head or the group was; one, where it
was a worker) one slot may have two lines: the orphan of a head and its successor both made it; or
none: its worker was killed between the last chunk and the line. Every other slot has one.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import psutil
import support
from support import bits, diffpipe, executions

from diffpipe.cache.layout import RunLayout
from diffpipe.cache.store import Store
from diffpipe.pipelines.core.assemble import assemble
from diffpipe.pipelines.core.plan import Plan, Request, make_plan
from diffpipe.rules import runs

PIPELINE = support.CASES / "chaos" / "pipeline.yaml"
WORKERS = 2
PATIENCE_SECONDS = 180  # a whole run takes a tenth of this
_GLANCE_SECONDS = 0.02
KINDS = ("group", "head", "worker")
PHASES = ("planning", "describe", "starting", "forward", "sum", "backward", "results")


class WrongError(Exception):
    """A run did what it must not do, however it is killed."""


# --- a run and how it is struck


@dataclass(frozen=True)
class Sweep:
    """The command that is disturbed, on this many events."""

    events: int | None = None

    @property
    def arguments(self) -> list[str]:
        events = [] if self.events is None else ["--events", str(self.events)]
        return ["run", "backward", str(PIPELINE), *events, "--json", "--cores", str(WORKERS)]

    def bits(self, store: Store) -> dict[str, bytes]:
        """The bytes of the gradient in a store."""
        made = assemble(PIPELINE, events=self.events)
        return bits(store, make_plan(store, made, Request("backward")))


@dataclass(frozen=True)
class Kill:
    """What was struck and when, and of how many workers the slot in flight may be lost by it."""

    kind: str
    phase: str
    struck: int


@dataclass(frozen=True)
class Run:
    """One run of the command, in a process group of its own."""

    head: "subprocess.Popen[bytes]"
    folder: Path
    earlier: int  # runs on the store before this one

    def is_at_work(self, seconds: float) -> bool:
        """Whether it still is, after some seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.head.wait(seconds)
        return self.head.returncode is None

    def kill(self, kind: str, moments: Random) -> Kill:
        """Strike; where there is no worker yet, the head."""
        workers = [each for each in members(self.head.pid) if _serves(each)]
        if kind == "worker" and workers:
            with contextlib.suppress(psutil.NoSuchProcess):
                moments.choice(workers).kill()
            return Kill(kind, self.phase(), 1)
        os.killpg(self.head.pid, signal.SIGKILL) if kind == "group" else self.head.kill()
        self.head.wait()
        return Kill("group" if kind == "group" else "head", self.phase(), len(workers))

    def phase(self) -> str:
        """How far it came, as far as its folder tells."""
        store = Store(self.folder / "store")
        mine = runs.all_runs(store)[self.earlier :]
        plan = runs.plan(mine[-1]) if mine else None
        if plan is None:
            return "planning"
        begun = _begun(mine[-1])
        return _phase_of(plan, begun[-1]) if begun else _before(store, plan)

    def check(self, struck: list[str]) -> None:
        """Raise WrongError unless it ended as it may after these kills."""
        code = self.head.returncode
        killed = code == -signal.SIGKILL and set(struck) - {"worker"}
        gave_up = code == 1 and struck.count("worker") > 1 and self.error() == "worker"
        if code and not killed and not gave_up:  # a task whose worker dies twice is given up
            raise WrongError(f"exit code {code} after {struck}; see {self.folder}")

    def error(self) -> str:
        """The kind of error that it printed."""
        return self.document()["error"]["kind"]

    def document(self) -> dict[str, Any]:
        """What it printed."""
        return json.loads((self.folder / "out").read_bytes())


def members(group: int) -> list[psutil.Process]:
    """The living processes of a process group."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(each.pid) == group and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
    return found


def _serves(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return "serve" in process.cmdline()
    return False


def _begun(run: RunLayout) -> list[str]:
    """The tasks that were started, in order."""
    try:
        lines = run.events.read_text().splitlines(keepends=True)
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines if line.endswith("\n")]
    return [each["task"] for each in events if each["event"] == "started"]


def _before(store: Store, plan: Plan) -> str:
    """The phase of a run before its first task."""
    keys = [plan.step(each).key for each in plan.to_create]
    described = all(store.layout.artefact(key).is_dir() for key in keys)
    return "starting" if described else "describe"


def _phase_of(plan: Plan, name: str) -> str:
    if name == "all":  # Snakemake's last rule
        return "results"
    task = plan.task(name)
    kinds = {plan.step(work.step).kind for work in task.work}
    return "sum" if task.kind == "once" else "backward" if "pullback" in kinds else "forward"


@contextlib.contextmanager
def started(sweep: Sweep, folder: Path) -> Iterator[Run]:
    """The command at work on the store in a folder; the head does not outlive the block."""
    earlier = len(runs.all_runs(Store(folder / "store")))
    own = {"DIFFPIPE_STORE": str(folder / "store"), "XDG_CACHE_HOME": str(folder / "compiled")}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        command = [sys.executable, "-m", "diffpipe.cli.app", *sweep.arguments]
        head = subprocess.Popen(
            command, stdout=out, stderr=err, env=os.environ | own, start_new_session=True
        )
    try:
        yield Run(head, folder, earlier)
    finally:
        if head.poll() is None:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()


# --- rounds


@dataclass(frozen=True)
class Calm:
    """What a run gives that nobody disturbs, and how long it takes."""

    sweep: Sweep
    seconds: float
    bits: dict[str, bytes]
    objects: dict[str, str]
    slots: int

    @classmethod
    def measure(cls, sweep: Sweep, folder: Path) -> "Calm":
        start = time.monotonic()
        with started(sweep, folder) as run:
            run.is_at_work(PATIENCE_SECONDS)
            run.check([])
        seconds, store = time.monotonic() - start, Store(folder / "store")
        return cls(sweep, seconds, sweep.bits(store), objects(store), len(executions(store)))


def objects(store: Store) -> dict[str, str]:
    """The sha256 of every file of every artefact, half-written ones apart."""
    return {
        str(path.relative_to(store.root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in store.layout.objects.rglob("*")
        if path.is_file() and path.suffix != ".partial"
    }


@dataclass
class Round:
    """A store that was disturbed: what was done to it, and what is in it."""

    number: int
    folder: Path
    kills: list[Kill] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)  # the process group of each run
    seconds: float = 0.0  # of all runs
    executed: int = 0  # lines
    repeated: int = 0  # slots with two lines
    unsaid: int = 0  # slots without a line
    partials: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def struck(self) -> int:
        return sum(each.struck for each in self.kills)

    @property
    def orphans(self) -> list[psutil.Process]:
        """What is left of the runs."""
        return [each for group in self.groups for each in members(group)]

    def __str__(self) -> str:
        kills = ", ".join(f"{each.kind} in {each.phase}" for each in self.kills) or "none"
        lines = f"{self.executed} executed, {self.repeated} twice, {self.unsaid} without a line"
        words = f"round {self.number}: {len(self.groups)} runs, {self.seconds:.0f} s; {lines} "
        words += f"(may be {self.struck}); {self.partials} half-written; kills: {kills}"
        return "\n".join([words, *(f"  WRONG: {each}" for each in self.wrong)])


def experiment(folder: Path, calm: Calm, kills: int, seed: int) -> Iterator[Round]:
    """Rounds until all kills are made."""
    moments = Random(seed)
    for number in count(1):
        played = Round(number, folder / f"round-{number}")
        play(played, calm, moments, kills)
        yield played
        kills -= len(played.kills)
        if kills <= 0:
            return
        if not played.kills:  # the machine may have been busy before
            calm = replace(calm, seconds=min(calm.seconds, played.seconds))


def play(played: Round, calm: Calm, moments: Random, kills: int) -> None:
    """One round, with no more kills than these; its folder stays if something is wrong."""
    start = time.monotonic()
    played.folder.mkdir()
    try:
        while not _run(played, calm, moments, kills):
            pass
        played.seconds = time.monotonic() - start
        _wait_for_orphans(played)
        _count(played, calm)
        played.wrong += _wrong(played, calm)
    except Exception as error:  # a broken store may raise anything
        played.wrong.append(f"{error!r}")
    finally:
        _clear(played)


def _clear(played: Round) -> None:
    left = played.orphans
    for orphan in left:
        orphan.kill()
    psutil.wait_procs(left)
    if not played.wrong:
        shutil.rmtree(played.folder)


def _run(played: Round, calm: Calm, moments: Random, kills: int) -> bool:
    """Run the command and disturb it; whether it came to its end."""
    before = len(played.kills)
    with started(calm.sweep, played.folder) as run:
        played.groups.append(run.head.pid)
        disturb(run, played.kills, calm.seconds, moments, kills)
        if run.is_at_work(PATIENCE_SECONDS):
            raise WrongError(f"a run does not end after {played.kills}; see {played.folder}")
    run.check([each.kind for each in played.kills[before:]])
    return run.head.returncode == 0


def disturb(run: Run, made: list[Kill], length: float, moments: Random, kills: int) -> None:
    """Strike a run until it has ended, or is left alone."""
    while len(made) < kills and _moment_comes(run, length, moments):
        kill = run.kill(moments.choice(KINDS), moments)
        if run.head.returncode == 0:
            return  # it came too late
        made.append(kill)
        if kill.kind == "worker" and moments.random() < 0.5:
            return


def _moment_comes(run: Run, length: float, moments: Random) -> bool:
    """Wait for the next moment to strike; whether the run is still at work then."""
    if moments.random() < 0.5:
        return run.is_at_work(moments.uniform(0, length))
    phase, patience = moments.choice(PHASES), time.monotonic() + PATIENCE_SECONDS
    while run.phase() != phase:
        if not run.is_at_work(_GLANCE_SECONDS) or time.monotonic() > patience:
            return False
    return run.is_at_work(moments.random() ** 3)  # seconds, few of them as long as one


def _wait_for_orphans(played: Round) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while left := played.orphans:
        if time.monotonic() > deadline:
            raise WrongError(f"outlived their runs: {left}")
        time.sleep(0.05)


def _count(played: Round, calm: Calm) -> None:
    lines = executions(played.store)
    played.executed, played.repeated = len(lines), len(lines) - len(set(lines))
    played.unsaid = calm.slots - len(set(lines))
    played.partials = len(partials(played.store))


def _wrong(played: Round, calm: Calm) -> Iterator[str]:
    """What is wrong in a store, before and after left-overs are cleared away."""
    store = played.store
    if max(played.repeated, played.unsaid) > played.struck:
        yield f"more than {played.struck} slots twice or without a line"
    if store.layout.damaged.exists():
        yield f"damaged: {(store.layout.damaged / 'log.jsonl').read_text()}"
    for command in ("verify", "gc"):
        done = diffpipe("cache", command, store=store.root)
        if done.returncode:
            yield f"{command}: {done.stdout}{done.stderr}"
    if partials(store):
        yield f"half-written after gc: {partials(store)}"
    again = diffpipe(*calm.sweep.arguments, store=store.root)
    if again.returncode or executed(support.document(again)):
        yield f"an unchanged rerun: {again.stdout}{again.stderr}"
    if other := {name for name, _ in objects(store).items() ^ calm.objects.items()}:
        yield f"{len(other)} files have other bytes: {sorted(other)[:5]}"
    elif calm.sweep.bits(store) != calm.bits:
        yield "the gradient has other bits"


def partials(store: Store) -> list[Path]:
    """The half-written chunks of killed workers."""
    return [*store.layout.objects.rglob("*.partial")]


def executed(document: dict[str, Any]) -> int:
    """How many shards a run says that it computed."""
    sweeps = (sweep for stage in document["stages"].values() for sweep in stage.values())
    return sum(sweep["executed"] for sweep in sweeps)


# --- the command


def summary(rounds: list[Round]) -> str:
    """The kills in a table, and what all rounds come to."""
    kills = Counter((kill.kind, kill.phase) for each in rounds for kill in each.kills)
    total = {name: sum(getattr(each, name) for each in rounds) for name in _COUNTED}
    worst = {name: max(getattr(each, name) for each in rounds) for name in _COUNTED}
    return "\n".join(
        [
            _row("", [*PHASES, "all"]),
            *(_row(kind, _cells(kills, [kind])) for kind in KINDS),
            _row("all", _cells(kills, KINDS)),
            f"{kills.total()} kills in {len(rounds)} rounds, {total['seconds']:.0f} s",
            f"{total['executed']} slots executed; {total['repeated']} twice and {total['unsaid']} "
            f"without a line, of {total['struck']} that may be",
            f"the worst rounds: {worst['repeated']} twice, {worst['unsaid']} without a line",
            f"{total['partials']} half-written chunks left behind, none believed",
            f"{sum(bool(each.wrong) for each in rounds)} rounds with something wrong",
        ]
    )


_COUNTED = ("seconds", "executed", "repeated", "unsaid", "struck", "partials")


def _cells(kills: Counter[tuple[str, str]], kinds: Iterable[str]) -> list[int]:
    found = [sum(kills[kind, phase] for kind in kinds) for phase in PHASES]
    return [*found, sum(found)]


def _row(label: str, cells: Iterable[object]) -> str:
    return f"{label:8}" + "".join(f"{each:>10}" for each in cells)


@contextlib.contextmanager
def _workplace(folder: Path | None) -> Iterator[Path]:
    """A folder to work in; one that nobody named is deleted, if nothing is wrong in it."""
    made = Path(tempfile.mkdtemp(prefix="chaos-")) if folder is None else folder.absolute()
    calm = made / "undisturbed"
    calm.mkdir(parents=True)
    try:
        yield made
    finally:
        if folder is None:
            shutil.rmtree(calm)
            with contextlib.suppress(OSError):  # what is wrong is kept
                made.rmdir()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="how many, in all")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and kinds")
    parser.add_argument("--store", type=Path, metavar="DIR", help="a new folder for the stores")
    return parser.parse_args()


def main() -> int:
    """0: nothing was lost; 1: something was; 130: interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has them ignored
        signal.signal(number, signal.default_int_handler)
    options, rounds, interrupted = _options(), [], False
    with _workplace(options.store) as folder:
        try:
            for each in _rounds(folder, options.kills, options.seed):
                rounds.append(each)
                print(each, flush=True)
        except KeyboardInterrupt:
            interrupted = True
    print(summary(rounds) if rounds else "no round was completed")
    return 130 if interrupted else int(any(each.wrong for each in rounds))


def _rounds(folder: Path, kills: int, seed: int) -> Iterator[Round]:
    calm = Calm.measure(Sweep(), folder / "undisturbed")
    print(f"undisturbed: {calm.slots} slots in {calm.seconds:.1f} s", flush=True)
    yield from experiment(folder, calm, kills, seed)


if __name__ == "__main__":
    sys.exit(main())
