"""Arrays in JSON as Tesseracts encode them: shape, dtype, and a buffer in base64 or as numbers.

{"object_type": "array", "shape": [2], "dtype": "float64",
 "data": {"encoding": "base64", "buffer": "AAAAAAAA8D8AAAAAAAAAQA=="}}
"""

from typing import Any

import msgspec
import numpy as np

JSON, BASE64 = "application/json", "application/json+base64"  # answers with the one or the other


class Base64Buffer(msgspec.Struct, frozen=True, tag_field="encoding", tag="base64"):
    """The bytes row by row, little-endian; compressed ones are not taken."""

    buffer: bytes
    compression: None = None


class JsonBuffer(msgspec.Struct, frozen=True, tag_field="encoding", tag="json"):
    """Nested lists, or a number."""

    buffer: Any


class EncodedArray(msgspec.Struct, frozen=True):
    shape: tuple[int, ...]
    dtype: str
    data: Base64Buffer | JsonBuffer
    object_type: str = "array"


class ShapeDtype(msgspec.Struct, frozen=True):
    """An array without its values."""

    shape: tuple[int, ...]
    dtype: str


def encode(array: np.ndarray, *, base64: bool = True) -> EncodedArray:
    """The array row by row."""
    data = Base64Buffer(array.tobytes()) if base64 else JsonBuffer(array.tolist())
    return EncodedArray(array.shape, str(array.dtype), data)


def decode(document: Any) -> np.ndarray:
    """The array of a document, of its own dtype; raises ValueError for what is none."""
    encoded = msgspec.convert(document, EncodedArray)
    try:
        dtype = np.dtype(encoded.dtype)
        if dtype.kind not in "fciub":
            raise ValueError(f"{encoded.dtype} is no dtype of numbers")
        if isinstance(encoded.data, JsonBuffer):
            return np.array(encoded.data.buffer, dtype).reshape(encoded.shape)
        return np.frombuffer(encoded.data.buffer, dtype).reshape(encoded.shape)
    except TypeError as error:
        raise ValueError(str(error)) from error
