"""`diffpipe pdf`: evolved parton densities and their derivatives, or an LHAPDF set of them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diffpipe.cache.errors import DiffpipeError, NonFiniteError, PipelineError, UsageError
from diffpipe.cli.options import Printed, grouped, names
from diffpipe.cli.report import print_json

if TYPE_CHECKING:
    import numpy as np

    from diffpipe.pipelines.physics.pdf.point.evaluation import Case
    from diffpipe.pipelines.physics.pdf.point.origin import Origin
    from diffpipe.pipelines.physics.pdf.point.report import Report

SHOWN = 5  # values of x beside each other in a table
SYMBOLS = {21: "g", 1: "d", 2: "u", 3: "s", 4: "c", 5: "b", 6: "t"}
SCALARS = ("kr", "q0")  # options that are values too
STAGE_OPTIONS = (
    "order",
    "scheme",
    "nf",
    "nf_max",
    "backward",
    "precision",
    "heavy_from_gluon",
    "alphas_scale",
    "sum_rules",
)


@dataclass(frozen=True)
class Asked:
    """Which densities, and where."""

    input: Annotated[
        str,
        typer.Option(
            "--input",
            help="One that ships (les_houches_toy, mstw2008nlo, herapdf, nn, ...), "
            "lhapdf:SET/MEMBER, or MODULE:FUNCTION.",
        ),
    ] = "mstw2008lo"
    q2: Annotated[str | None, typer.Option("--q2", metavar="1e4,...", help="muF^2, GeV^2.")] = None
    x: Annotated[
        str | None,
        typer.Option(
            "--x", metavar="0.001,0.1", help="Values of x, or LOW:HIGH:COUNT, even in ln x."
        ),
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="alphas_q0=0.35,...",
            help="alphas_mz, alphas_q0, alphas, mc, mb, mt, q0, kr, the input's own parameters.",
        ),
    ] = None
    wrt: Annotated[
        str | None,
        typer.Option("--wrt", metavar="alphas,mb,q2", help="Derivatives by these, or by all."),
    ] = None


@dataclass(frozen=True)
class Evolution:
    """How they evolve."""

    order: Annotated[
        str | None, typer.Option("--order", help="LO, NLO or NNLO; default: the input's.")
    ] = None
    scheme: Annotated[str, typer.Option("--scheme", help="VFNS or FFNS.")] = "VFNS"
    kr: Annotated[float | None, typer.Option("--kr", help="muR^2 / muF^2; default: 1.")] = None
    nf: Annotated[
        int | None, typer.Option("--nf", help="Flavours at q0; default: VFNS 3, FFNS 4.")
    ] = None
    nf_max: Annotated[
        int | None, typer.Option("--nf-max", help="Most flavours of VFNS; default: 5.")
    ] = None
    q0: Annotated[
        float | None, typer.Option("--q0", help="muF where the densities are given, GeV.")
    ] = None
    backward: Annotated[bool, typer.Option("--backward", help="Allow scales below q0.")] = False
    precision: Annotated[str, typer.Option("--precision", help="fast or precise.")] = "precise"
    heavy_from_gluon: Annotated[
        str, typer.Option("--heavy-from-gluon", help="A_Hg at NNLO: parametrised or exact.")
    ] = "parametrised"
    alphas_scale: Annotated[
        float | None, typer.Option("--alphas-scale", help="Where alpha_s is given, GeV.")
    ] = None
    sum_rules: Annotated[
        str, typer.Option("--sum-rules", help="Of the input: checked or ignored.")
    ] = "checked"


@dataclass(frozen=True)
class Written:
    """The LHAPDF set, if one is asked for."""

    write: Annotated[
        Path | None, typer.Option("--write", metavar="SET", help="Write an LHAPDF set, a folder.")
    ] = None
    x_points: Annotated[int, typer.Option("--x-points", help="Its x knots below 1.")] = 100
    q_points: Annotated[int, typer.Option("--q-points", help="Its Q knots, nearly.")] = 40
    q_max: Annotated[float, typer.Option("--q-max", help="Its largest Q, GeV.")] = 1e5
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a set.")] = False


@grouped
def pdf(asked: Asked, evolution: Evolution, written: Written, printed: Printed) -> None:
    """Parton densities x f at a scale, by DGLAP evolution, with exact derivatives."""
    from diffpipe.pipelines.core.environment import Environment
    from diffpipe.rules import machine

    if written.write is None and (asked.x is None or asked.q2 is None):
        raise UsageError(
            "nothing to do: give --x and --q2, or --write SET",
            hint="diffpipe pdf --input les_houches_toy --q2 1e4 --x 0.001,0.1",
        )
    if written.write is not None and written.write.exists() and not written.overwrite:
        raise UsageError(
            f"there is a set {written.write} already", hint="take another name, or add --overwrite"
        )
    machine.prepare(Environment.current().platform(gpus=0))
    try:
        document = _document(asked, evolution, written)
    except DiffpipeError:
        raise
    except ValueError as error:  # a refusal of the physics, which has its hint
        raise PipelineError(_spoken(str(error)), hint=_spoken(_hint(error))) from error
    if printed.as_json:
        print_json(document)
    else:
        for line in _lines(document):
            print(line)


def _hint(error: ValueError) -> str:
    return getattr(error, "hint", None) or "diffpipe pdf --help lists the options"


def _spoken(text: str) -> str:
    """`option nf_max: 4` of a pipeline file as it is written here, --nf-max 4."""
    text = re.sub(r"option (\w+): true", r"--\1", text)
    text = re.sub(r"option (\w+): (\w+)", r"--\1 \2", text)
    return re.sub(r"--\w+", lambda found: found[0].replace("_", "-"), text)


def _document(asked: Asked, evolution: Evolution, written: Written) -> dict[str, Any]:
    import numpy as np

    from diffpipe.pipelines.frameworks import jax as _float64  # noqa: F401
    from diffpipe.pipelines.physics.pdf.point import report

    given, x = _given(asked, evolution), _x(asked.x)
    q2 = np.array([written.q_max**2]) if asked.q2 is None else _numbers("--q2", asked.q2)
    chosen = {name: getattr(evolution, name) for name in STAGE_OPTIONS}
    origin = _origin(asked.input)
    case = report.case(origin, {**chosen, "input": asked.input}, {**given, "q2": q2}, x)
    document = _described(asked, evolution, case)
    if asked.x is not None and asked.q2 is not None:
        found = report.report(case, x, names(asked.wrt) or [])
        document |= _values(found, x, q2)
    if written.write is not None:
        document |= _write(written, case)
    return document


def _origin(name: str) -> "Origin":
    """The densities that --input names; files and modules are looked for from this folder."""
    from diffpipe.pipelines.core import functions
    from diffpipe.pipelines.physics.pdf.companions import LHAPDF
    from diffpipe.pipelines.physics.pdf.parameters import TABLE, known_input
    from diffpipe.pipelines.physics.pdf.point import origin

    if name == TABLE:
        raise UsageError(
            "a table is an input of pipelines only",
            hint="give MODULE:FUNCTION, a function that reads your table, or an LHAPDF set",
        )
    input = known_input(name)
    if input is not None:
        return origin.of_input(input)
    if name.startswith(LHAPDF):
        try:
            return origin.of_set(name.removeprefix(LHAPDF), Path.cwd())
        except OSError as error:
            raise UsageError(f"cannot read {name}: {error}") from error
    function = functions.find(name, {}, Path.cwd(), "--input")
    return origin.of_function(name, functions.load(function))


# --- what is asked --------------------------------------------------------------------------------


def _given(asked: Asked, evolution: Evolution) -> dict[str, "np.ndarray"]:
    """Values by name, from --set and from the options that are values too."""
    import numpy as np

    found: dict[str, np.ndarray] = {}
    for text in asked.settings or []:
        for part in re.split(r",(?=\s*[A-Za-z_][\w.]*\s*=)", text):
            name, value = _setting(part)
            if name in found:
                raise UsageError(f"--set {name} is given twice", hint="give it once")
            found[name] = value
    if "q2" in found:
        raise UsageError("q2 is where densities are asked for", hint="give it as --q2")
    for name in SCALARS:
        value = getattr(evolution, name)
        if value is not None and name in found:
            raise UsageError(
                f"{name} is given twice, by --{name} and by --set", hint="give it once"
            )
        if value is not None:
            found[name] = np.asarray(value, np.float64)
    return found


def _setting(text: str) -> tuple[str, "np.ndarray"]:
    import numpy as np

    name, sign, raw = text.partition("=")
    try:
        value = np.array(json.loads(raw) if "[" in raw else float(raw), np.float64)
    except (ValueError, TypeError):
        value = np.array(np.nan)
    if not sign or not np.isfinite(value).all():
        raise UsageError(
            f"--set {text}: not name=value with a finite number, or a list of them",
            hint="--set alphas_mz=0.118,mb=4.75",
        )
    return name.strip(), value


def _x(text: str | None) -> "np.ndarray":
    """Values of x: a list, or LOW:HIGH:COUNT."""
    import numpy as np

    if text is None or ":" not in text:
        return np.zeros(0) if text is None else _numbers("--x", text)
    low, high, count = (
        _numbers("--x", text.replace(":", ",")) if text.count(":") == 2 else (0, 0, 0)
    )
    if not (0.0 < low < high and count >= 2 and count == int(count)):
        raise UsageError(f"--x {text}: not LOW:HIGH:COUNT", hint="--x 1e-5:0.9:20")
    return np.append(np.geomspace(low, high, int(count))[:-1], high)


def _numbers(option: str, text: str) -> "np.ndarray":
    import numpy as np

    try:
        return np.array([float(each) for each in text.split(",")])
    except ValueError as error:
        raise UsageError(
            f"{option} {text}: not a list of numbers", hint=f"{option} 0.001,0.1"
        ) from error


# --- what is found --------------------------------------------------------------------------------


def _described(asked: Asked, evolution: Evolution, case: "Case") -> dict[str, Any]:
    values = {name.removeprefix("pdf."): each.tolist() for name, each in case.values.items()}
    del values["q2"]
    return {
        "input": asked.input,
        "order": case.plan.order,
        "scheme": evolution.scheme,
        "flavours": sorted({*case.plan.flavours, *case.plan.flavours_below}),
        "kr": values["kr"],
        "q0": values["q0"],
        "parameters": values,
    }


def _values(found: "Report", x: "np.ndarray", q2: "np.ndarray") -> dict[str, Any]:
    """With one q2 its values stand alone, with several they are lists."""

    def alone(values: "np.ndarray") -> Any:
        return values[0].tolist() if len(q2) == 1 else values.tolist()

    def by_flavour(densities: "np.ndarray") -> dict[str, Any]:
        order = sorted(range(len(found.pids)), key=lambda place: found.pids[place])
        _refuse_non_finite(found, densities, x, q2)
        return {str(found.pids[n]): alone(densities[:, n] + 0.0) for n in order}

    return {
        "x": x.tolist(),
        "q2": alone(q2),
        "alphas": alone(found.alphas),
        "xf": by_flavour(found.xf),
        "gradient": {name: by_flavour(each) for name, each in found.gradient.items()},
        "alphas_gradient": {name: alone(v + 0.0) for name, v in found.alphas_gradient.items()},
    }


def _refuse_non_finite(
    found: "Report", densities: "np.ndarray", x: "np.ndarray", q2: "np.ndarray"
) -> None:
    import numpy as np

    bad = np.argwhere(~np.isfinite(densities))
    if bad.size:
        scale, flavour, place = bad[0]
        raise NonFiniteError(
            f"x f of flavour {found.pids[flavour]}, or a derivative of it, is not finite at "
            f"x = {x[place]:g}, q2 = {q2[scale]:g}",
            hint="look at the values set",
        )


def _write(written: Written, case: "Case") -> dict[str, Any]:
    from diffpipe.pipelines.physics.pdf.point.lhapdf_set import Size, write_set

    assert written.write is not None
    folder = written.write.expanduser().absolute()
    size = Size(written.q_max, written.q_points, written.x_points)
    try:
        path = write_set(folder.parent, folder.name, case, size, overwrite=written.overwrite)
    except OSError as error:
        raise DiffpipeError(f"cannot write the set {folder}: {error}") from error
    return {"written": str(path), "members": 1, "x_min": case.plan.x_min, "q_max": written.q_max}


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    flavours = document["flavours"]
    nf = f"nf = {flavours[0]}" + (f" to {flavours[-1]}" if len(flavours) > 1 else "")
    words = [document["input"], document["order"], document["scheme"], nf]
    yield ", ".join([*words, f"kr = {document['kr']:g}", f"q0 = {document['q0']:g} GeV"])
    if "xf" in document:
        yield from _tables(document)
    if "written" in document:
        path = Path(document["written"])
        yield f"written: {path}, one member, Q from {document['q0']:g} to {document['q_max']:g} GeV"
        yield f"  read it again:  diffpipe pdf --input lhapdf:{path} --q2 1e4 --x 0.1"
        yield f"  with LHAPDF:    LHAPDF_DATA_PATH={path.parent}, set {path.name}"


def _tables(document: Mapping[str, Any]) -> Iterator[str]:
    several = isinstance(document["q2"], list)
    for place, q2 in enumerate(document["q2"] if several else [document["q2"]]):

        def here(values: Any, place: int = place) -> Any:
            return values[place] if several else values

        yield ""
        yield f"q2 = {q2:g} GeV^2, alpha_s(muR^2 = q2) = {here(document['alphas']):.8f}"
        yield from _table("x f", document["x"], {k: here(v) for k, v in document["xf"].items()})
        for name, columns in document["gradient"].items():
            title = f"d(x f) / d {name}"
            yield from _table(title, document["x"], {k: here(v) for k, v in columns.items()})


def _table(title: str, x: list[float], rows: Mapping[str, list[float]]) -> Iterator[str]:
    for first in range(0, len(x), SHOWN):
        part = slice(first, first + SHOWN)
        yield f"  {title}"
        yield "        x" + "".join(f"{each:>14g}" for each in x[part])
        for pid, values in rows.items():
            yield f"  {_symbol(int(pid)):>7}" + "".join(f"{each:14.6e}" for each in values[part])


def _symbol(pid: int) -> str:
    return SYMBOLS[abs(pid)] + ("bar" if pid < 0 else "")
