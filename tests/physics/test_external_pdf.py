"""Operators of EKO and FK tables of PineAPPL: read, applied as these programs do, and refused."""

import importlib
import io
import itertools
import tarfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from support import assemble, composed, sweep, values

from diffpipe.pipelines.core.results import read_results
from diffpipe.pipelines.physics.pdf import flavours
from diffpipe.pipelines.physics.pdf.external.eko import PIDS, eko
from diffpipe.pipelines.physics.pdf.external.pineappl import fk_table as read_fk_table
from diffpipe.pipelines.physics.pdf.external.stage import eko_evolution, fk_table
from diffpipe.pipelines.physics.refusal import RefusedError

X = np.array([1e-4, 1e-2, 0.1, 0.3, 0.6, 1.0])
PROTON = [flavours.pid(name) for name in flavours.FLAVOURS]
WITH_TOP = [flavours.pid(name) for name in flavours.names(6)]
ROUNDING = 1e-14  # sums of some hundred products, relative to the sum of their sizes


def random(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape)


def operator(nf, seed, dtype=np.float64):
    """A random operator as EKO orders it; the photon evolves alone."""
    drawn = random(14, X.size, 14, X.size, seed=seed)
    drawn[0, :, 1:], drawn[1:, :, 0] = 0.0, 0.0
    return drawn.astype(dtype) * nf


POINTS = {(8100.0, 5): 1, (4.0, 4): 2, (20.25, 4): 3, (20.25, 5): 4}
OPERATORS = {point: operator(point[1], seed) for point, seed in POINTS.items()}
METADATA = {
    "origin": [2.0, 4],
    "xgrid": X.tolist(),
    "version": "0.15.7",
    "data_version": 3,
}


def packed(array, **further):
    lz4 = pytest.importorskip("lz4.frame", reason="the extra eko is not installed")
    stream = io.BytesIO()
    if further:
        np.savez(stream, operator=array, **further)
    else:
        np.save(stream, array)
    return lz4.compress(stream.getvalue())


def files(operators=OPERATORS, metadata=METADATA):
    """The files of an EKO .tar, by name."""
    made = {"./metadata.yaml": yaml.dump(metadata).encode(), "./theory.yaml": b"order: [1, 0]\n"}
    for number, ((mu2, nf), array) in enumerate(operators.items()):
        made[f"./operators/A{number}-_=.yaml"] = yaml.dump({"nf": nf, "scale": mu2}).encode()
        made[f"./operators/A{number}-_=.npy.lz4"] = packed(array)
    return made


def written(path, contents):
    with tarfile.open(path, "w") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return eko(written(tmp_path_factory.mktemp("eko") / "toy.tar", files()))


def close(found, expected, sizes):
    np.testing.assert_array_less(np.abs(found - expected), ROUNDING * sizes + 1e-300)


def test_an_eko_file_is_read_with_its_scales_and_flavours(read):
    np.testing.assert_array_equal(read["x"], X[::-1])
    np.testing.assert_array_equal(read["q_0"], [2.0, 4.5])
    np.testing.assert_array_equal(read["q_1"], [4.5, 90.0])
    np.testing.assert_array_equal(read["pids"], PROTON)
    assert read["q0"] == np.sqrt(2.0)
    assert read["operator_0"].shape == (2, 11, 6, 11, 6)


def test_an_eko_evolves_densities_as_its_operators_do(read):
    density = random(11, X.size)
    found = jax.jit(eko_evolution)({}, {"eko": read, "density": density})
    rows = [PIDS.index(pid) for pid in PROTON]
    f = np.zeros((14, X.size))
    f[rows] = density[:, ::-1] / X
    for at, point in enumerate(sorted(OPERATORS)):
        expected, sizes = (
            X * np.einsum("ajbk,bk->aj", each(OPERATORS[point]), each(f))
            for each in (np.array, abs)
        )
        close(found["grid"][:, at], expected[rows, ::-1].T, sizes[rows, ::-1].T)
    np.testing.assert_array_equal(found["q"], [2.0, 4.5, 4.5, 90.0])
    np.testing.assert_array_equal(found["x_1"], X)
    np.testing.assert_array_equal(found["xf_1"], found["grid"][::-1, 2:])
    np.testing.assert_array_equal(found["pids"], PROTON)


def test_the_pullback_of_an_eko_is_its_transpose(read):
    density, cotangent = random(11, X.size), random(X.size, 4, 11, seed=2)

    def grid(density):
        return eko_evolution({}, {"eko": read, "density": density})["grid"]

    forward, pullback = jax.vjp(grid, jnp.asarray(density))
    left, right = np.vdot(cotangent, forward), np.vdot(pullback(jnp.asarray(cotangent))[0], density)
    assert abs(left - right) < 1e-12 * np.sum(np.abs(cotangent * forward))  # rounding


def test_the_top_has_a_row_where_an_operator_leads_to_six_flavours(tmp_path):
    read = eko(written(tmp_path / "top.tar", files({(4e4, 6): operator(6, 9)})))
    np.testing.assert_array_equal(read["pids"], WITH_TOP)
    density = random(11, X.size)
    with_top = np.insert(density, (5, 10), 0.0, axis=0)  # t and tbar
    shorter, longer = (
        eko_evolution({}, {**read, "density": jnp.asarray(each)})["grid"]
        for each in (density, with_top)
    )
    assert shorter.shape == (X.size, 1, 13)
    np.testing.assert_array_equal(shorter, longer)


def test_an_operator_with_errors_is_read(tmp_path):
    contents = files()
    point, at = next(iter(OPERATORS.items())), "./operators/A0-_="
    del contents[f"{at}.npy.lz4"]
    contents[f"{at}.npz.lz4"] = packed(point[1], error=np.ones_like(point[1]))
    whole = eko(written(tmp_path / "whole.tar", files()))
    found = eko(written(tmp_path / "errors.tar", contents))
    np.testing.assert_array_equal(found["operator_1"], whole["operator_1"])


@pytest.mark.filterwarnings("ignore")  # of the oracle
def test_a_file_of_the_eko_library_is_read_and_applied_as_there(tmp_path):
    io_eko = pytest.importorskip("eko.io", reason="the extra pdf-oracles is not installed")
    cards, apply = (importlib.import_module(f"ekobox.{name}") for name in ("cards", "apply"))
    card = cards.example.raw_operator() | {
        "xgrid": X.tolist(),
        "init": (np.sqrt(2.0).item(), 4),
        "mugrid": [(np.sqrt(mu2).item(), nf) for mu2, nf in OPERATORS],
    }
    made = io_eko.struct.EKO.create(tmp_path / "library.tar")
    with made.load_cards(cards.example.theory(), io_eko.runcards.OperatorCard.from_dict(card)):
        library = made.build()
        for point, each in OPERATORS.items():
            library[point] = io_eko.items.Operator(operator=each)
        density = random(11, X.size)
        f = np.zeros((1, 14, X.size))
        f[0, [PIDS.index(pid) for pid in PROTON]] = density[:, ::-1] / X
        grids, _ = apply.apply_grids(library, f)
    found = eko_evolution({}, {"eko": eko(tmp_path / "library.tar"), "density": density})
    for at, point in enumerate(sorted(OPERATORS)):
        expected = X[::-1] * grids[point][0][[PIDS.index(pid) for pid in PROTON], ::-1]
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found["grid"][:, at].T, expected, atol=1e-13 * scale)  # rounding


def hostile(change):
    contents = files()
    change(contents)
    return contents


def renamed(contents, name, content):
    contents[name] = content


class Unpickled:
    """What would run code if it were unpickled."""

    def __reduce__(self):
        return (exec, ("raise AssertionError('unpickled')",))


FIRST = "./operators/A0-_=.npy.lz4"
BROKEN = {
    "no metadata": (lambda c: c.pop("./metadata.yaml"), "it has no metadata.yaml"),
    "an older version": (
        lambda c: renamed(
            c,
            "./metadata.yaml",
            yaml.dump(METADATA | {"data_version": 1, "version": "0.14"}).encode(),
        ),
        "the data version 1, written by EKO '0.14'; 3 is read",
    ),
    "a grid that falls": (
        lambda c: renamed(
            c, "./metadata.yaml", yaml.dump(METADATA | {"xgrid": [0.5, 0.1]}).encode()
        ),
        "does not rise",
    ),
    "no grid": (
        lambda c: renamed(c, "./metadata.yaml", b"{data_version: 3, origin: [2.0, 4]}"),
        "metadata.yaml must be a mapping with xgrid, origin",
    ),
    "tags that make objects": (
        lambda c: renamed(c, "./operators/A0-_=.yaml", b"!!python/object/apply:os.getcwd []"),
        r"A0-_=.yaml is no plain YAML: could not determine a constructor",
    ),
    "no operators": (
        lambda c: [c.pop(name) for name in list(c) if "operators" in name],
        "holds no operators",
    ),
    "a header alone": (lambda c: c.pop(FIRST), "stands for one operator, but 0 are there"),
    "a pickle": (
        lambda c: renamed(c, FIRST, packed(np.array([Unpickled()], dtype=object))),
        "npy.lz4 cannot be read: Object arrays cannot be loaded",
    ),
    "another shape": (
        lambda c: renamed(c, FIRST, packed(np.ones((14, 2, 14, 2)))),
        "float64 of shape",
    ),
    "single precision": (
        lambda c: renamed(c, FIRST, packed(operator(4, 1, np.float32))),
        "is float32 of shape",
    ),
    "more than the grid allows": (
        lambda c: renamed(c, FIRST, packed(np.zeros(10**7))),
        "cannot be read",
    ),
    "half a file": (lambda c: renamed(c, FIRST, c[FIRST][: len(c[FIRST]) // 2]), "cannot be read"),
    "no lz4": (lambda c: renamed(c, FIRST, b"no lz4"), "cannot be read"),
    "photons": (
        lambda c: renamed(c, FIRST, packed(random(14, X.size, 14, X.size))),
        "mixes partons with photons",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_eko_file_is_refused(name, tmp_path):
    change, message = BROKEN[name]
    path = written(tmp_path / "broken.tar", hostile(change))
    with pytest.raises(RefusedError, match=message):
        eko(path)


def test_what_is_no_tar_is_refused(tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(RefusedError, match="is no EKO file"):
        eko(tmp_path / "x.tar")


def test_nothing_of_an_eko_file_is_written_to_disk(tmp_path):
    outside = files() | {"../outside.yaml": b"a: 1", "/tmp/../operators/x.yaml": b"a: 1"}
    (tmp_path / "in").mkdir()
    found = eko(written(tmp_path / "in" / "toy.tar", outside))
    assert found["operator_0"].shape[0] == 2
    assert [path.name for path in tmp_path.rglob("*")] == ["in", "toy.tar"]


@pytest.mark.parametrize(
    ("reader", "library", "extra"),
    [(eko, "lz4.frame", "eko"), (read_fk_table, "pineappl", "pineappl")],
)
def test_without_the_library_its_extra_is_named(reader, library, extra, tmp_path, monkeypatch):
    path = written(tmp_path / "toy.tar", files()) if reader is eko else tmp_path / "no"
    imported = importlib.import_module

    def refuse(name, *arguments):
        if name.startswith(library):
            raise ImportError(name)
        return imported(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ImportError, match=rf"needs {library}.*pip install 'diffpipe\[{extra}\]'"):
        reader(path)


def by_hand(hadrons, top=False, bins=3, channels=4):
    """A random table as the reader gives it, and a density for it."""
    table = random(bins, channels, *[X.size] * hadrons)
    partons = random(hadrons, channels, 13, seed=2)
    density = random(13 if top else 11, X.size, seed=3)
    return {"x": X[::-1], "table": table, "partons": partons}, density


SUBSCRIPTS = {1: "bci,cf,fi->b", 2: "bcij,cf,fi,cg,gj->b"}


@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("hadrons", [1, 2])
def test_an_fk_table_is_linear_in_the_density_of_each_hadron(hadrons, top):
    read, density = by_hand(hadrons, top)
    found = jax.jit(fk_table)({}, {"fk": read, "density": density})["prediction"]
    whole = density if top else np.insert(density, (5, 10), 0.0, axis=0)
    terms = [read["table"], *itertools.chain(*((each, whole) for each in read["partons"]))]
    expected, sizes = (
        np.einsum(SUBSCRIPTS[hadrons], *map(each, terms)) for each in (np.array, np.abs)
    )
    close(found, expected, sizes)


@pytest.mark.parametrize("hadrons", [1, 2])
def test_the_gradient_of_an_fk_table_is_exact(hadrons):
    read, density = by_hand(hadrons)
    direction, cotangent = random(*density.shape, seed=4), random(3, seed=5)

    def prediction(density):
        return fk_table({}, {"fk": read, "density": density})["prediction"]

    value, along = jax.jvp(prediction, (jnp.asarray(density),), (jnp.asarray(direction),))
    _, pullback = jax.vjp(prediction, jnp.asarray(density))
    left, right = np.vdot(cotangent, along), np.vdot(pullback(jnp.asarray(cotangent))[0], direction)
    assert abs(left - right) < 1e-12 * np.sum(np.abs(cotangent * along))  # rounding
    # of degree one in each density (Euler), so along the density itself it is the value
    radial = jax.jvp(prediction, (jnp.asarray(density),), (jnp.asarray(density),))[1]
    np.testing.assert_allclose(radial, hadrons * value, rtol=1e-12)  # rounding


@pytest.mark.parametrize("hadrons", [1, 2])
def test_members_are_predicted_together(hadrons):
    read, density = by_hand(hadrons)
    members = jnp.stack([jnp.asarray(density), 2.0 * density])
    found = fk_table({}, {"fk": read, "density": members})["prediction"]
    one = fk_table({}, {"fk": read, "density": density})["prediction"]
    np.testing.assert_allclose(found, [one, 2.0**hadrons * one], rtol=1e-12)  # rounding


def test_a_theory_parameter_is_refused():
    read, density = by_hand(1)
    for stage, name in itertools.product((eko_evolution, fk_table), ("alphas_mz", "mc", "pdf.a")):
        with pytest.raises(
            RefusedError, match=f"no parameter, got {name}: .* at fixed alpha_s"
        ) as e:
            stage({name: jnp.ones(())}, {**read, "density": density})
        assert "pdf_evolution has them" in e.value.hint


def test_another_density_is_refused():
    read, density = by_hand(1)
    for wrong in (density[:, :-1], density[:9], density[0]):
        with pytest.raises(
            RefusedError, match=r"density has the shape .*; \(..., 11, 6\) is wanted"
        ):
            fk_table({}, {"fk": read, "density": wrong})
    with pytest.raises(RefusedError, match="its inputs are fk") as refused:
        fk_table({}, {"fk": read})
    assert "density: <stage>.density" in refused.value.hint


def hadron(pid=2212, polarized=False, time_like=False):
    return pid, polarized, time_like


def pineappl_table(path, channels, hadrons, evolution=False):
    """A random FK table made by PineAPPL, written to `path`."""
    reason = "the extra pineappl is not installed"
    boc = pytest.importorskip("pineappl.boc", reason=reason)
    conv, fk, grid, ipl, pids, sub = (
        importlib.import_module(f"pineappl.{name}")
        for name in ("convolutions", "fk_table", "grid", "interpolation", "pids", "subgrid")
    )
    kinds = [
        conv.Conv(conv.ConvType(polarized=polarized, time_like=time_like), pid)
        for pid, polarized, time_like in hadrons
    ]
    scale = boc.ScaleFuncForm.Scale(0)
    fragmentation = scale if any(each[2] for each in hadrons) else boc.ScaleFuncForm.NoScale(0)
    made = grid.Grid(
        pid_basis=pids.PidBasis.Evol if evolution else pids.PidBasis.Pdg,
        channels=[boc.Channel([(list(codes), 1.0)]) for codes in channels],
        orders=[boc.Order(0, 0, 0, 0, 0)],
        bins=boc.BinsWithFillLimits.from_fill_limits([0.0, 1.0, 3.0, 3.5]),
        convolutions=kinds,
        interpolations=[ipl.Interp(1.0, 1e8), *[ipl.Interp(2e-7, 1.0)] * len(hadrons)],
        kinematics=[boc.Kinematics.Scale(0), *map(boc.Kinematics.X, range(len(hadrons)))],
        scale_funcs=boc.Scales(scale, scale, fragmentation),
    )
    shape = (1, *[X.size] * len(hadrons))
    nodes = [np.array([2.7225]), *[X] * len(hadrons)]
    for number, channel in itertools.product(range(3), range(len(channels))):
        array = random(*shape, seed=10 * number + channel)
        made.set_subgrid(0, number, channel, sub.ImportSubgridV1(array, nodes).into())
    table = fk.FkTable(made)
    table.write_lz4(str(path))
    return table


def xfx(pid, x, q2):  # noqa: ARG001  what PineAPPL calls
    return x**0.3 * (1.2 - x) ** 3 * (1.0 + 0.1 * pid + x * np.sin(pid))


def predicted(read):
    rows = [[xfx(pid, x, 0.0) for x in read["x"]] for pid in WITH_TOP]
    return fk_table({}, {"fk": read, "density": jnp.asarray(rows)})["prediction"]


IN_PDG = ((2, -2), (21, 1), (-6, 5), (21, 21))
IN_EVOLUTION = tuple(itertools.product((21, 100, 103, 124, 135), (200, 203, 215, 108, 21)))
TABLES = {
    "one hadron": ([(2,), (-1,), (21,)], [hadron()], False),
    "one polarized hadron": ([(2,), (-1,), (21,)], [hadron(polarized=True)], False),
    "one hadron, evolution basis": ([(21,), (100,), (108,), (200,), (235,)], [hadron()], True),
    "two hadrons": (IN_PDG, [hadron()] * 2, False),
    "two hadrons, evolution basis": (IN_EVOLUTION, [hadron()] * 2, True),
    "a hadron and its antiparticle": (IN_PDG, [hadron(), hadron(-2212)], False),
    "an antiparticle, evolution basis": (IN_EVOLUTION, [hadron(-2212), hadron()], True),
}


@pytest.mark.parametrize("name", TABLES)
def test_an_fk_table_predicts_what_pineappl_does(name, tmp_path):
    channels, hadrons, evolution = TABLES[name]
    table = pineappl_table(tmp_path / "fk.pineappl.lz4", channels, hadrons, evolution)
    read = read_fk_table(tmp_path / "fk.pineappl.lz4")
    conv = importlib.import_module("pineappl.convolutions")
    kind = conv.ConvType(polarized=hadrons[0][1], time_like=False)
    oracle = table.convolve([conv.Conv(kind, 2212)], [xfx])
    np.testing.assert_allclose(predicted(read), oracle, rtol=1e-10)  # rounding of cancelling terms
    np.testing.assert_array_equal(read["bin_limits"], [[[0.0, 1.0]], [[1.0, 3.0]], [[3.0, 3.5]]])
    np.testing.assert_array_equal(read["bin_normalizations"], [1.0, 2.0, 0.5])
    np.testing.assert_allclose(read["q0"], 1.65, rtol=1e-15)
    np.testing.assert_array_equal(read["x"], X[::-1])


REFUSED = {
    "photons": ([(22, 2)], [hadron()] * 2, "has the parton 22 .PDG numbers., a photon"),
    "leptons": ([(2, 11)], [hadron()] * 2, "has the parton 11 .PDG numbers., unknown"),
    "two kinds": (IN_PDG, [hadron(), hadron(polarized=True)], "hadrons .*, or two of the same"),
    "fragmentation": ([(2,)], [hadron(211, time_like=True)], "fragmentation functions"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_fk_table_of_something_else_is_refused(name, tmp_path):
    channels, hadrons, message = REFUSED[name]
    pineappl_table(tmp_path / "fk.pineappl.lz4", channels, hadrons)
    with pytest.raises(RefusedError, match=message):
        read_fk_table(tmp_path / "fk.pineappl.lz4")


def test_what_is_no_fk_table_is_refused(tmp_path, capfd):
    pytest.importorskip("pineappl", reason="the extra pineappl is not installed")
    (tmp_path / "x.pineappl").write_bytes(b"nothing of the kind")
    with pytest.raises(RefusedError, match="is no FK table of PineAPPL"):
        read_fk_table(tmp_path / "x.pineappl")
    capfd.readouterr()  # what the panic printed


PIPELINE = """
pipeline: precomputed
parameters: {a: {value: 0.7, fit: true}, b: {value: 3.1, fit: true}}
data: {eko: {reader: eko, path: toy.tar}, table: {reader: npz, path: table.npz}}
stages:
  density: {uses: "stages:density", over: once, inputs: {x: data.eko.x}, parameters: [a, b]}
  evolved: {uses: eko_evolution, over: once, inputs: {eko: data.eko, density: density.density}}
  luminosity: {uses: parton_luminosity, over: once, inputs: {pids: evolved.pids, x_0: evolved.x_0, q_0: evolved.q_0, xf_0: evolved.xf_0}, options: {channels: [[2, -2], [21, 21]], masses: [3.0], collider_energy: 100.0, points: 8}}
  prediction: {uses: fk_table, over: once, inputs: {fk: data.table, density: density.density}}
  loss: {uses: "stages:loss", over: once, inputs: {luminosity: luminosity.luminosity, prediction: prediction.prediction}}
objective: loss.loss
"""  # noqa: E501  one stage a line
STAGES = """
import jax.numpy as jnp
def density(parameters, inputs):
    shape = inputs["x"] ** parameters["a"] * (1.0 - inputs["x"]) ** parameters["b"]
    return {"density": jnp.linspace(1.0, 2.0, 11)[:, None] * shape[None, :]}
def loss(parameters, inputs):
    return {"loss": jnp.sum(inputs["luminosity"] ** 2) + jnp.sum(inputs["prediction"] ** 2)}
"""


@pytest.mark.slow  # a whole pipeline is compiled
def test_a_pipeline_pulls_a_gradient_through_both(tmp_path, store):
    written(tmp_path / "toy.tar", files())
    np.savez(tmp_path / "table.npz", **by_hand(2)[0])
    (tmp_path / "stages.py").write_text(STAGES)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    made = assemble(tmp_path / "pipeline.yaml")
    plan, _ = sweep(store, made)
    found = read_results(store, plan)
    value, gradient = jax.jit(jax.value_and_grad(composed(made)))(values(made))
    # rounding: some hundred operations of 1e-16 each
    np.testing.assert_allclose(found.objective, value, rtol=1e-13)
    for name in ("a", "b"):
        np.testing.assert_allclose(found.gradient[name], gradient[name], rtol=1e-12)
