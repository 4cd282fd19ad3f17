"""Sealed values: small JSON files, each there whole or not at all, with its own digest.

One that is damaged, or of another form, counts as missing: what it says can be found again.
"""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from diffpipe.cache import documents, files
from diffpipe.cache.errors import DamagedError

Value = TypeVar("Value", bound=msgspec.Struct)


class _Sealed(msgspec.Struct, frozen=True):
    value: Any
    digest: str


def read(path: Path, kind: type[Value]) -> Value | None:
    """The value in a file, if it is whole."""
    try:
        sealed = msgspec.convert(documents.read(path), _Sealed)
        value = msgspec.convert(sealed.value, kind)
    except (FileNotFoundError, DamagedError, msgspec.ValidationError):
        return None
    return value if sealed.digest == _digest(value) else None


def write(path: Path, value: msgspec.Struct) -> None:
    """Store a value in the place of one before; the folder is made where there is none."""
    path.parent.mkdir(exist_ok=True)
    files.write(path, msgspec.json.encode(_Sealed(value, _digest(value))))


def _digest(value: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()
