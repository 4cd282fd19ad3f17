"""`diffpipe init`: a small complete pipeline in a new folder, to run as it is and to change."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from diffpipe.cache.errors import UsageError, did_you_mean

TEMPLATES = Path(__file__).parent.parent / "pipelines" / "templates"
_ALL = "all"  # what is the same in each
_NAME = "PIPELINE_NAME"  # what stands in the templates for the name
_EXTRAS = {"torch": "PyTorch", "tensorflow": "TensorFlow"}  # what diffpipe alone does not install


def init(
    name: Annotated[str, typer.Argument(help="The pipeline's name, and its folder's.")],
    framework: Annotated[
        str,
        typer.Option(
            "--framework", "-f", help="Of its stage: jax, torch, tensorflow, numpy, command."
        ),
    ] = "jax",
) -> None:
    """Write a small complete pipeline into a new folder: stage, data, test and README."""
    folder = Path(name)
    _check(name, folder, framework)
    for path in _write(framework, folder, name):
        print(f"  {path}")
    if framework in _EXTRAS and find_spec(framework) is None:
        print(f"{_EXTRAS[framework]} is not installed: pip install 'diffpipe[{framework}]'")
    build = " && make" if (folder / "Makefile").exists() else ""
    print(f"next:\n  cd {name}{build}\n  diffpipe run backward")


def _check(name: str, folder: Path, framework: str) -> None:
    if not name.isidentifier() or not name.isascii():
        text = f"{name!r} is no name of a pipeline: letters, digits and _"
        raise UsageError(text, hint="it becomes a folder here: diffpipe init my_pipeline")
    known = sorted(path.name for path in TEMPLATES.iterdir() if path.name != _ALL)
    if framework not in known:
        hint = did_you_mean(framework, known)
        raise UsageError(f"there is no framework {framework!r} to begin with", hint=hint)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        text = f"{name} exists and is not an empty folder; nothing was written"
        raise UsageError(text, hint="choose another name")


def _write(framework: str, folder: Path, name: str) -> list[Path]:
    """Copy the templates' files, with the name in its place; those written."""
    written = []
    files = [*(TEMPLATES / _ALL).iterdir(), *(TEMPLATES / framework).iterdir()]
    try:
        folder.mkdir(exist_ok=True)
        for path in sorted((path for path in files if path.is_file()), key=lambda path: path.name):
            (folder / path.name).write_text(path.read_text().replace(_NAME, name))
            written.append(folder / path.name)
    except OSError as error:
        raise UsageError(f"cannot write {folder}: {error.strerror}") from error
    return written
