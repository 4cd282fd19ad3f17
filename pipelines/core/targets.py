"""What a stage may run that is no Python function: a program, or a service at an address.

They are named in the pipeline file by `uses:`, with their settings under `framework:`:

    smear:  {uses: ./smear, framework: {name: command, timeout: 10 min, arguments: [--fast]}, ...}
    solver: {uses: "http://node7:4242", framework: {name: umbridge, model: forward}, ...}
"""

from pathlib import Path

import msgspec


class Program(msgspec.Struct, frozen=True, tag="program"):
    """An executable file: `uses` is its name in the pipeline file, `path` where it was found.

    files: what its key has the content of beside its own (scripts, tables), name -> path; an
    argument that is such a name stands for the path.
    seconds: how long one call may take. has_jvp: whether it knows `jvp` beside `forward`, `vjp`.
    """

    uses: str
    path: str
    arguments: list[str] = []
    files: dict[str, str] = {}
    seconds: float = 3600.0
    has_jvp: bool = False

    def __str__(self) -> str:
        return self.uses

    @property
    def command(self) -> list[str]:
        """The words that start it."""
        return [self.path, *(self.files.get(each, each) for each in self.arguments)]

    @property
    def sources(self) -> dict[str, Path]:
        """The files that its key has the content of."""
        others = {name: Path(path) for name, path in self.files.items()}
        return {"program": Path(self.path), **others}


class Service(msgspec.Struct, frozen=True, tag="service"):
    """A model that another process serves over HTTP.

    arguments: local name of a parameter or an input -> the server's name of it (tesseract); its
    order is that of the server's input vectors (umbridge). version: what the server has to say it
    is. seconds: how long one answer may take; retries: how often one that fails is asked again.
    """

    address: str
    model: str
    arguments: dict[str, str] = {}
    version: str | None = None
    seconds: float = 600.0
    retries: int = 3

    def __str__(self) -> str:
        return f"{self.address} {self.model}"
