"""A server of one component: questions in JSON over HTTP, each answered by a protocol.

The standard library's server, a thread for each connection; the work is the component's.
"""

import socketserver
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

import msgspec

from diffpipe.cache.errors import DiffpipeError, UsageError
from diffpipe.rules.serve.component import Component

_MOST_BYTES = 1 << 30  # of a question
_PATIENCE_SECONDS = 60.0  # for a client that stops in the middle of a question


class QuestionError(Exception):
    """A question that is answered with an error of the protocol."""

    def __init__(self, status: int, document: Any) -> None:
        super().__init__(document)
        self.status, self.document = status, document


@dataclass(frozen=True)
class Question:
    """What was asked, as far as HTTP knows it."""

    body: bytes
    accept: str


Answering = Callable[[Question], Any]


@dataclass(frozen=True)
class Interface(ABC):
    """A protocol: the places that it knows, and its words for errors."""

    component: Component
    title: ClassVar[str]

    @abstractmethod
    def places(self) -> Mapping[str, Answering]:
        """ "GET /path" or "POST /path" -> what answers there, with a document or QuestionError."""

    @abstractmethod
    def error(self, status: int, message: str) -> Any:
        """The document of an error that the protocol has no more special word for."""

    def media_type(self, question: Question) -> str:
        """What its answers are."""
        del question
        return "application/json"


def answer(interface: Interface, place: str, question: Question) -> tuple[int, Any]:
    """The status and the document that answer a question."""
    answering = interface.places().get(place)
    if answering is None:
        known = ", ".join(interface.places())
        return 404, interface.error(404, f"there is no {place}; there are {known}")
    try:
        return 200, answering(question)
    except QuestionError as refused:
        return refused.status, refused.document
    except msgspec.DecodeError as error:
        return 400, interface.error(400, f"the question cannot be read: {error}")
    except DiffpipeError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return 500, interface.error(500, f"{error.message}{hint}")
    except Exception as error:
        return 500, interface.error(500, f"unexpected {type(error).__name__}: {error}")


class Server(ThreadingHTTPServer):
    """Listens from the moment that it is made, answers when started; raises UsageError."""

    daemon_threads = True

    def __init__(self, interface: Interface, host: str, port: int) -> None:
        self.interface = interface
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            text = f"cannot listen on {host}:{port}: {error}"
            raise UsageError(text, hint="--port 0 takes a port that is free") from error

    def server_bind(self) -> None:
        """Without the name of the host, which it may take long to look up and nobody asks for."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone is no news; all else is an answer."""

    @property
    def address(self) -> str:
        return f"http://{self.server_name}:{self.server_port}"

    def start(self) -> None:
        """Take questions, in a thread of its own."""
        Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    """One connection, of which the questions come one after the other."""

    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _PATIENCE_SECONDS

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        interface, length = self.server.interface, self._length()
        if length is None:
            self.close_connection = True
            self._send(411, interface.error(411, "the question has no Content-Length of its own"))
            return
        question = Question(self.rfile.read(length), self.headers.get("Accept", "*/*"))
        place = f"{self.command} {self.path.partition('?')[0]}"
        status, document = answer(interface, place, question)
        media_type = interface.media_type(question) if status == 200 else "application/json"
        self._send(status, document, media_type)

    def _length(self) -> int | None:
        """How long the question is; None where that is not said, or too long."""
        said = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (said.isascii() and said.isdigit()):
            return None
        return int(said) if len(said) < 12 and int(said) <= _MOST_BYTES else None

    def _send(self, status: int, document: Any, media_type: str = "application/json") -> None:
        body = msgspec.json.encode(document)
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: sweeps are what is told."""
