"""The code digest: what of a stage's source can change its numbers.

Taken from syntax trees without comments, docstrings and positions, over the stage's module and
every project-local module that it imports, transitively: parent packages and imports inside
functions included. Project-local is the stage's own top-level package or the pipeline file's
folder, and within diffpipe `pipelines.physics` and `pipelines.library`. Nothing is imported.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from diffpipe.cache import keys
from diffpipe.cache.errors import PipelineError
from diffpipe.cache.memo import Memo
from diffpipe.pipelines.core.functions import locate
from diffpipe.pipelines.core.model import Function

_DOCUMENTED = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_OWN = ("diffpipe.pipelines.physics", "diffpipe.pipelines.library")


def code_digest(function: Function, memo: Memo) -> str:
    """The digest of everything local that the function may run; raises PipelineError."""
    return keys.digest(local_sources(function, memo))


def local_sources(function: Function, memo: Memo) -> dict[str, str]:
    """The digest of each local module that the function's module reaches, by module name."""
    found: dict[str, str] = {}
    waiting = list(_with_parents(function.module))
    while waiting:
        name = waiting.pop()
        path = None if name in found else _local_file(name, function)
        if path is not None:
            found[name], imports = _read(path, name, memo)
            waiting += [parent for each in imports for parent in _with_parents(each)]
    if function.module not in found:
        raise PipelineError(
            f"no module {function.module} for {function}",
            hint=f"looked for in {function.folder or 'diffpipe'} and among installed packages",
        )
    return found


def defined(function: Function) -> set[str]:
    """The names that the function's module defines or imports, as far as its source says."""
    spec = locate(function.module, function.folder)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return set()
    try:
        body = ast.parse(Path(spec.origin).read_bytes(), spec.origin).body
    except (SyntaxError, ValueError, OSError, RecursionError) as error:
        raise PipelineError(f"cannot read {spec.origin}: {error}") from error
    return {name for node in body for name in _bound(node)}


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (each.id for each in node.targets if isinstance(each, ast.Name))


def _local_file(module: str, function: Function) -> Path | None:
    """The source file of a module if it is local to the function's project, else None."""
    if module.split(".")[0] == "diffpipe":
        if not module.startswith(_OWN):
            return None
    elif function.folder is None and module.split(".")[0] != function.module.split(".")[0]:
        return None
    spec = locate(module, function.folder)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    path = Path(spec.origin)
    same_package = module.split(".")[0] == function.module.split(".")[0]
    in_folder = function.folder is not None and path.is_relative_to(function.folder)
    return path if same_package or in_folder or module.startswith(_OWN) else None


def _read(path: Path, module: str, memo: Memo) -> tuple[str, list[str]]:
    """The digest of a module's syntax tree, and the names of the modules it may import."""
    try:
        source = path.read_bytes()
        key = hashlib.sha256(f"{sys.version_info[:2]} {module}\n".encode() + source).hexdigest()
        if memo.get(key) is None:
            memo.put(key, _parse(source, path, module))
    except (SyntaxError, ValueError, OSError, RecursionError) as error:
        raise PipelineError(f"cannot read {path}: {error}") from error
    digest, imports = memo.get(key)
    return digest, imports


def _parse(source: bytes, path: Path, module: str) -> tuple[str, list[str]]:
    tree = ast.parse(source, str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    imports: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imports.update(_from_imports(node, package))
        elif isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return keys.digest(ast.dump(tree)), sorted(imports)


def _from_imports(node: ast.ImportFrom, package: str) -> Iterable[str]:
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1] if node.level else []
    origin = ".".join([*base, *([node.module] if node.module else [])])
    return [origin, *(f"{origin}.{alias.name}" for alias in node.names)]


def _with_parents(module: str) -> Iterator[str]:
    parts = module.split(".")
    return (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
