"""Asking a service over HTTP: JSON there and back, with patience and with words where it fails.

A question is asked again where the service cannot be reached, hangs up, or fails with a status of
5xx and no word of its own protocol; never where it takes too long, since it may still be at work.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from diffpipe.cache.errors import DiffpipeError, NonFiniteError, PipelineError, StageError
from diffpipe.pipelines.core.steps import Call
from diffpipe.pipelines.core.targets import Service

_FIRST_WAIT, _LONGEST_WAIT = 0.2, 5.0  # seconds, doubled from one attempt to the next
_SHOWN = 200  # characters of an answer that is no answer
_PIECE = 1 << 20  # bytes read between two looks at the clock
_NON_FINITE = re.compile(rb"\s*[\[{].*\b(nan|inf|infinity)\b", re.IGNORECASE | re.DOTALL)
Answer = TypeVar("Answer")


class Complaint(NamedTuple):
    """An error that a service tells in the words of its protocol."""

    message: str
    is_missing: bool = False  # the service does not have what was asked for


@dataclass(frozen=True)
class Protocol:
    """What a client has to know of a protocol beside its questions.

    complaint: the error that an answer with this status and document tells, if it is one.
    instead: path -> what to write in the pipeline file where a service does not have it.
    """

    name: str
    complaint: Callable[[int, Any], Complaint | None]
    instead: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Client:
    """A service that is asked on behalf of a stage."""

    stage: str
    service: Service
    protocol: Protocol

    @classmethod
    def of(cls, call: Call, protocol: Protocol) -> "Client":
        """The client of a stage that is served."""
        assert isinstance(call.code, Service)
        return cls(call.stage, call.code, protocol)

    def ask(self, path: str, answer: type[Answer], question: Any = None) -> Answer:
        """The answer to a question (POST), or to none (GET); raises StageError, PipelineError."""
        body = None if question is None else msgspec.json.encode(question)
        status, found = self._patiently(path, body)
        complaint = self._complaint(status, found)
        if complaint is not None:
            raise self._refused(path, complaint)
        if status != 200:
            raise self.wrong(f"answers {path} with status {status}: {_shown(found)}")
        try:
            return msgspec.json.decode(found, type=answer)
        except msgspec.DecodeError as error:
            raise self._nonsense(path, found, error) from error

    def fail(self, message: str, hint: str | None = None) -> PipelineError:
        """An error about what the pipeline file says of the service."""
        return PipelineError(f"stage {self.stage}: {message}", hint=hint, stage=self.stage)

    def _patiently(self, path: str, body: bytes | None) -> tuple[int, bytes]:
        for wait in [*_waits(self.service.retries), None]:
            try:
                status, found = self._once(path, body)
                if status < 500 or wait is None or self._complaint(status, found):
                    return status, found
            except TimeoutError as error:
                raise self._slow(path) from error
            except (OSError, HTTPException) as error:
                if wait is None:
                    raise self._down(error) from error
            time.sleep(wait)
        raise AssertionError("unreachable")

    def _once(self, path: str, body: bytes | None) -> tuple[int, bytes]:
        address, deadline = urlsplit(self.service.address), time.monotonic() + self.service.seconds
        secure = address.scheme == "https"
        connection = (HTTPSConnection if secure else HTTPConnection)(
            address.netloc, timeout=self.service.seconds
        )
        headers = {"Content-Type": "application/json", **self.protocol.headers}
        try:
            connection.request("POST" if body else "GET", address.path + path, body, headers)
            answer = connection.getresponse()
            return answer.status, _read(answer, deadline)
        finally:
            connection.close()

    def _complaint(self, status: int, found: bytes) -> Complaint | None:
        if status == 200 and b'"error"' not in found[:_SHOWN]:
            return None  # large answers are not parsed twice
        try:
            return self.protocol.complaint(status, msgspec.json.decode(found))
        except msgspec.DecodeError:
            return None

    def wrong(self, what: str, hint: str | None = None) -> StageError:
        text = f"stage {self.stage}: {self.service.address} {what}"
        return StageError(text, hint=hint, stage=self.stage)

    def _down(self, error: Exception) -> StageError:
        retries = self.service.retries
        times = f", {retries + 1} times" if retries else ""
        return self.wrong(
            f"cannot be asked{times}: {error or type(error).__name__}",
            "start the service, or write where it is: uses: http://host:port; what is stored stays",
        )

    def _slow(self, path: str) -> StageError:
        seconds = self.service.seconds
        return self.wrong(
            f"did not answer {path} within {seconds:g} s",
            f"give it longer: framework: {{name: {self.protocol.name}, timeout: 30 min}}",
        )

    def _refused(self, path: str, complaint: Complaint) -> DiffpipeError:
        if complaint.is_missing:
            text = f"{self.service.address} does not have {path} ({complaint.message})"
            return self.fail(text, self.protocol.instead.get(path, "see what it serves"))
        return self.wrong(f"refuses {path}: {complaint.message}")

    def _nonsense(self, path: str, found: bytes, error: Exception) -> DiffpipeError:
        if _NON_FINITE.match(found):
            text = f"stage {self.stage}: {self.service.address} answers {path} with NaN or Inf"
            hint = f"see what it says of these inputs: {_shown(found)}"
            return NonFiniteError(text, hint=hint, stage=self.stage)
        hint = f"is it a server of {self.protocol.name}?"
        return self.wrong(f"answers {path} with nonsense ({error}): {_shown(found)}", hint)


def _waits(retries: int) -> Iterator[float]:
    return (min(_FIRST_WAIT * 2**k, _LONGEST_WAIT) for k in range(retries))


def _read(answer: HTTPResponse, deadline: float) -> bytes:
    """The whole body; an answer that comes drop by drop has to end in time, too."""
    pieces = []
    while piece := answer.read1(_PIECE):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise TimeoutError
    if answer.length:
        raise HTTPException(f"hung up {answer.length} bytes before the end of its answer")
    return b"".join(pieces)


def _shown(found: bytes) -> str:
    """The beginning of an answer, in one line that can be printed."""
    text = " ".join(found[: 4 * _SHOWN].decode(errors="replace").split())
    safe = "".join(each if each.isprintable() else "?" for each in text)
    return safe[:_SHOWN] + ("..." if len(safe) > _SHOWN else "") if safe else "(nothing)"
