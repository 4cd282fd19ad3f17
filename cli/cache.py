"""`diffpipe cache ls|verify|gc`: what the store holds, whether it is sound, what can go."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cli.options import JsonOption, StoreOption, open_store
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    from diffpipe.cache.artefact import Artefact

app = typer.Typer(help="Look into the store.", no_args_is_help=True)

KeepOption = Annotated[
    int, typer.Option("--keep-runs", min=0, help="Keep what the last runs of a pipeline used.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


@app.command("ls")
def list_artefacts(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List the stored artefacts."""
    opened = open_store(store, create=False)
    rows = [_row(each) for key in opened.artefact_keys() if (each := opened.get(key))]
    rows.sort(key=lambda row: (row["pipeline"], row["stage"], row["kind"]))
    print_json({"store": str(opened.root), "artefacts": rows}) if as_json else _table(rows)


@app.command()
def verify(store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Read every chunk and check its checksum; damaged ones are moved aside."""
    from diffpipe.cache.upkeep import verify as check

    opened = open_store(store, create=False)
    found = check(opened)
    if as_json:
        print_json({"chunks": found.chunks, "damaged": found.damaged})
    else:
        print(f"{found.chunks} chunks read, {len(found.damaged)} damaged")
        for place in found.damaged:
            print(f"  {place}: moved aside; the next run computes it again")
    raise typer.Exit(1 if found.damaged else 0)


@app.command()
def gc(
    keep_runs: KeepOption = 1,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete what the last runs of each pipeline did not use, and left-overs of killed runs."""
    from diffpipe.rules.collect import collect

    freed = collect(open_store(store, create=False), keep_runs, dry_run=dry_run)
    if as_json:
        print_json({"removed": freed.removed, "bytes": freed.nbytes, "dry_run": dry_run})
    else:
        verb = "would free" if dry_run else "freed"
        print(
            f"{verb} {freed.nbytes / 1e6:.1f} MB: {len(freed.removed)} artefacts, {freed.runs} runs"
        )


def _row(artefact: "Artefact") -> dict[str, Any]:
    manifest = artefact.manifest
    return {
        "key": artefact.key,
        "pipeline": manifest["pipeline"],
        "stage": manifest["stage"],
        "kind": manifest["kind"],
        "shards": [artefact.present().bit_count(), artefact.slots],
        "bytes": artefact.nbytes,
    }


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name in ("pipeline", "stage", "kind", "shards", "MB", "key"):
        table.add_column(name, justify="right" if name in ("shards", "MB") else "left")
    for row in rows:
        shards = "/".join(map(str, row["shards"]))
        size = f"{row['bytes'] / 1e6:.3f}"
        table.add_row(row["pipeline"], row["stage"], row["kind"], shards, size, row["key"][:12])
    Console().print(table)
