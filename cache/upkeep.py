"""Upkeep: read everything and set aside what is damaged."""

from dataclasses import dataclass, field

from diffpipe.cache import chunks, masks
from diffpipe.cache.errors import DamagedError
from diffpipe.cache.store import Artefact, Store


@dataclass
class Verified:
    """How many chunks were read, and which were damaged."""

    chunks: int = 0
    damaged: list[str] = field(default_factory=list)


def verify(store: Store) -> Verified:
    """Check the checksum of every chunk; slots with damaged ones are moved aside."""
    found = Verified()
    for key in store.artefact_keys():
        artefact = store.get(key)
        if artefact is None:
            found.damaged.append(f"{key} (manifest)")
            continue
        for name in artefact.specs:
            _verify_array(store, artefact, name, found)
    return found


def _verify_array(store: Store, artefact: Artefact, name: str, found: Verified) -> None:
    folder, spec = artefact.folder / name, artefact.specs[name]
    for shard in masks.members(chunks.present(folder, artefact.slots)):
        found.chunks += 1
        try:
            chunks.payload(folder, spec, shard)
        except (DamagedError, OSError) as error:
            store.set_aside_slot(artefact, shard, str(error))
            stage, kind = artefact.manifest["stage"], artefact.manifest["kind"]
            found.damaged.append(f"{stage} {kind} {name} shard {shard} ({error})")
