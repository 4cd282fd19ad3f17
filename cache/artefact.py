"""One artefact of a store: which of its slots are complete, and their values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffpipe.cache import chunks, files, masks
from diffpipe.cache.errors import DamagedError, StoreError, UsageError, did_you_mean
from diffpipe.cache.specs import ArraySpec

if TYPE_CHECKING:
    import numpy as np

    from diffpipe.cache.store import Store


@dataclass(frozen=True)
class Artefact:
    """One stored artefact: its manifest, and the values of its slots."""

    store: "Store"
    folder: Path
    manifest: Mapping[str, Any]
    slots: int
    specs: Mapping[str, ArraySpec]

    @property
    def key(self) -> str:
        return self.folder.name

    @property
    def nbytes(self) -> int:
        return sum(spec.nbytes for spec in self.specs.values())

    def present(self) -> int:
        """The set of complete slots, by one listing per array."""
        complete = masks.full(self.slots)
        for name, spec in self.specs.items():
            complete &= chunks.present(self.folder / name, spec, self.slots)
        return complete

    @property
    def is_complete(self) -> bool:
        return self.present() == masks.full(self.slots)

    def has(self, shard: int) -> bool:
        """Whether a slot is complete; what its chunks are worth is seen when they are read."""
        return all(files.is_there(self._chunk(name, shard)) for name in self.specs)

    def values(self, name: str) -> Any:
        """A once-array as plain numbers, without zarr; raises DamagedError, OSError, UsageError."""
        spec = self._spec(name)
        if not chunks.is_printable(spec):
            raise UsageError(
                f"{name} of {self._title} has dtype {spec.dtype}, which is not printed"
            )
        return chunks.values(self.folder / name, spec)

    def read(self, name: str, shard: int) -> "np.ndarray":
        """One array of one slot, or its sum over the slot's block; raises DamagedError."""
        from diffpipe.cache import arrays

        spec = self._spec(name)
        try:
            return arrays.read_slot(self.folder / name, spec, shard)
        except FileNotFoundError as error:
            raise self._damaged(name, shard, "is missing") from error
        except OSError as error:
            raise self._damaged(name, shard, f"is damaged ({error})") from error

    def write(self, shard: int, values: Mapping[str, Any | None]) -> None:
        """Write every array of one slot; None stands for a sum whose block is not whole yet."""
        if not self.specs.keys() <= values.keys():
            raise StoreError(
                f"{self._title} has arrays {sorted(self.specs)}; computed were {sorted(values)}",
                hint=f"delete {self.folder}: it is made again",
            )
        with files.writing(self.store.root):
            for name in self.specs:
                if values[name] is not None:
                    self._write(name, shard, values[name])

    def _write(self, name: str, shard: int, values: Any) -> None:
        from diffpipe.cache import arrays

        spec, durable = self.specs[name], self.store.durable
        try:
            arrays.write_slot(self.folder / name, spec, shard, values, durable=durable)
        except IsADirectoryError as error:
            self.store.set_aside(self._chunk(name, shard), str(error))
            arrays.write_slot(self.folder / name, spec, shard, values, durable=durable)

    def _chunk(self, name: str, shard: int) -> Path:
        return chunks.path(self.folder / name, self.specs[name], shard)

    def _spec(self, name: str) -> ArraySpec:
        if name not in self.specs:
            hint = did_you_mean(name, self.specs)
            raise UsageError(f"{self._title} has no array {name}", hint=hint)
        return self.specs[name]

    @property
    def _title(self) -> str:
        return f"the {self.manifest['kind']} of stage {self.manifest['stage']}"

    def _damaged(self, name: str, shard: int, what: str) -> DamagedError:
        kind, stage = self.manifest["kind"], self.manifest["stage"]
        return DamagedError(
            f"{kind} array {name} of stage {stage} {what}: {self._chunk(name, shard)}",
            stage=stage,
            shard=shard,
            hint="the same command recomputes it",
        )
