"""Where pipelines are found: a shipped name, a path, or the pipeline of this folder."""

from pathlib import Path

from diffpipe.cache.errors import UsageError, did_you_mean

SHIPPED = Path(__file__).parent.parent / "library"
LOCAL_FILE = "pipeline.yaml"
DEFAULT = "drell_yan"


def shipped() -> list[str]:
    """The names of the pipelines that ship with diffpipe."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{LOCAL_FILE}"))


def find(name: str | None) -> Path:
    """The file of a pipeline: by name, by path, or pipeline.yaml here, else the default one."""
    if name is None:
        local = Path(LOCAL_FILE)
        return local.absolute() if local.exists() else SHIPPED / DEFAULT / LOCAL_FILE
    if name in shipped():
        return SHIPPED / name / LOCAL_FILE
    path = Path(name)
    if path.is_dir() and (path / LOCAL_FILE).exists():
        return (path / LOCAL_FILE).absolute()
    if path.is_file():
        return path.absolute()
    raise UsageError(
        f"there is no pipeline {name!r}: neither a shipped name nor a file",
        hint=did_you_mean(name, shipped()),
    )


def is_pipeline(uses: str) -> bool:
    """Whether a stage's `uses:` names a pipeline rather than a function."""
    return uses in shipped() or uses.endswith((".yaml", ".yml"))
