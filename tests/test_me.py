"""`diffpipe me`, as a physicist meets it, and the stage `matrix_element` in a pipeline."""

# ruff: noqa: E501 (one case a line reads better)

import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from support import diffpipe, document

from diffpipe.cache.errors import DiffpipeError
from diffpipe.cli.app import app
from diffpipe.pipelines.physics.matrix_elements import points
from diffpipe.pipelines.physics.matrix_elements.element import build

MADGRAPH = json.loads((Path(__file__).parent / "physics" / "madgraph.json").read_text())
GG_TT = MADGRAPH["processes"]["gg_tt"]
EE_TT = MADGRAPH["processes"]["ee_tt"]
CARD = """
###################################
BLOCK MASS #
      6 172.5 # mt
      23 91.188 # mz
      24 80.419002 # mw
      1 0.0 # d
BLOCK SMINPUTS #
      1 132.507 # aewm1
      2 1.16639e-05
      3 1.3e-01 # as
DECAY  6 1.4915 # wt
   1.0  2  5 24
DECAY  11 0.0
"""


def me(*words):
    """What the command prints, run in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        app(["me", *words], standalone_mode=False)
    return printed.getvalue()


def refusal(*words):
    """What the command says of a mistake of the user's: the message, and what to try."""
    with pytest.raises(DiffpipeError) as raised:
        me(*words)
    assert raised.value.exit_code == 2
    return f"{raised.value.message} | {raised.value.hint}"


def test_the_document_has_what_it_promises(tmp_path):
    np.save(tmp_path / "events.npy", EE_TT["momenta"])
    words = ["--momenta", str(tmp_path / "events.npy"), "--wrt", "MT,aS", "--on-shell"]
    found = json.loads(me("e+ e- > t t~", *words, "--json"))
    assert (found["process"], found["diagrams"]) == ("e+ e- > t t~", 2)
    assert found["helicities"] == {"kept": 8, "of": 16}
    np.testing.assert_allclose(found["value"], EE_TT["value"], rtol=1e-10)
    on_shell = np.array(EE_TT["gradient_MT_onshell"])
    # the reference's tolerance: of the largest
    np.testing.assert_allclose(found["gradient"]["MT"], on_shell, atol=1e-8 * abs(on_shell).max())
    assert found["gradient"]["aS"] == [0.0] * len(on_shell)
    assert found["independent_of"] == ["aS"]


def test_momenta_may_be_json_and_the_table_says_what_was_found(tmp_path):
    (tmp_path / "events.json").write_text(json.dumps(GG_TT["momenta"][:2]))
    text = me("g g > t t~", "--momenta", str(tmp_path / "events.json"), "--wrt", "aS,ymb")
    assert "diagrams 3, colour dimension 2, helicities kept 16 of 16" in text
    assert (
        f"{GG_TT['value'][1]:.8e}" in text.replace(" ", "")[:2000]
        or f"{GG_TT['value'][1]:.9e}"[:10] in text
    )
    assert "does not depend on ymb: its derivative is zero" in text


def test_labels_stand_for_subprocesses():
    found = json.loads(me("j j > t t~", "--json", "--wrt", "aS"))
    names = [each["process"] for each in found["subprocesses"]]
    assert "g g > t t~" in names
    assert "u u~ > t t~" in names
    assert "s~ s > t t~" in names
    assert len(names) == 9


@pytest.mark.slow  # g g > t t~ is compiled twice
def test_a_card_and_settings_give_the_values(tmp_path):
    (tmp_path / "param_card.dat").write_text(CARD)
    card = ["--card", str(tmp_path / "param_card.dat"), "--wrt", "MT", "--json"]
    by_card = me("g g > t t~", *card)
    settings = ["--set", "MT=172.5,aS=0.13", "--wrt", "mass:6", "--json"]
    assert by_card == me("g g > t t~", *settings)
    assert me("g g > t t~", *card, "--set", "aS=0.12") != by_card


def bad(name, words, *said):
    return pytest.param(words, said, id=name)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        bad("unknown particle", ["e+ e- > mu+ muo-"], "unknown particle 'muo-'", "mu-"),
        bad("charge", ["e+ e- > mu+ mu+"], "charge is not conserved, 0 before and 2 after"),
        bad("baryons", ["u u > e+ e-"], "not conserved"),
        bad("leptons", ["e- mu+ > ta- ta+"], "electron number is not conserved, 1 before and 0 after"),
        bad("flavour", ["u c~ > e+ e-"], "no tree diagram", "CKM"),
        bad("orders", ["u u~ > e+ e- QED=1"], "no tree diagram with QED<=1", "raise the orders"),
        bad("order name", ["u u~ > e+ e- EW=1"], "unknown coupling order EW", "QCD, QED"),
        bad("loop", ["u u~ > e+ e- [QCD]"], "loop corrections"),
        bad("squared order", ["u u~ > e+ e- QCD^2==2"], "cannot be read"),
        bad("cut", ["u u~ > e+ e- $ z"], "$ is a cut", "$$"),
        bad("legs", ["e+ e- > " + "e+ e- " * 4], "10 legs", "at most 6 coloured"),
        bad("coloured", ["g g > g g g g g"], "7 of them coloured"),
        bad("no arrow", ["u u~"], "is not of the form"),
        bad("nothing", [""], "name a process"),
        bad("parentheses", ["e+ e- > t t~, (t > b w+"], "parentheses do not match"),
        bad("no such decay", ["e+ e- > t t~, z > e+ e-"], "no final z to decay"),
        bad("decay of two", ["e+ e- > t t~, t b > t b"], "is no decay"),
        bad("parameter", ["g g > t t~", "--set", "mtt=3"], "no parameter 'mtt'", "did you mean MT"),
        bad("derived", ["g g > t t~", "--wrt", "MW"], "MW follows from MZ, aEWM1 and Gf"),
        bad("slha", ["g g > t t~", "--wrt", "mass 2"], "no free parameter at SLHA entry mass 2", "mass 6 (MT)"),
        bad("no number", ["g g > t t~", "--set", "MT=heavy"], "--set MT=heavy"),
        bad("threshold", ["g g > t t~", "--energy", "300"], "300 GeV is below", "346"),
        bad("closed decay", ["h > t t~"], "125 GeV is below"),
        bad("no file", ["g g > t t~", "--momenta", "none.npy"], "cannot read momenta from none.npy"),
        bad("no card", ["g g > t t~", "--card", "none.dat"], "cannot read none.dat"),
        bad("backend", ["g g > t t~", "--backend", "fortran"], "unknown backend 'fortran'"),
    ],
)  # fmt: skip
def test_a_mistake_is_said_in_words(words, said):
    text = refusal(*words)
    for each in said:
        assert each in text


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("BLOCK MASS\n 2 0.1\n", "line 2: the model has no free parameter mass 2 = 0.1"),
        ("BLOCK MASS\n 24 82.0\n", "line 2: MW = 82, but MZ, aEWM1 and Gf give 80.4190"),
        ("BLOCK HMIX\n 1 0.1\n", "hmix 1"),
        ("BLOCK MASS\n 6 heavy\n", "line 2: not a code and a number"),
    ],
)
def test_a_card_the_model_does_not_know_is_refused(tmp_path, lines, said):
    (tmp_path / "card.dat").write_text(lines)
    assert said in refusal("g g > t t~", "--card", str(tmp_path / "card.dat"))


def moved(leg, component, by):
    momenta = np.array(GG_TT["momenta"])
    momenta[3, leg, component] += by
    return momenta


@pytest.mark.parametrize(
    ("momenta", "said"),
    [
        (moved(2, 1, 5.0), "momenta of event 3 do not balance"),
        (np.array(GG_TT["momenta"])[:, [0, 1, 3]], "have shape (event, 4, 4), got (12, 3, 4)"),
        (np.array(GG_TT["momenta"])[:, [2, 3, 0, 1]], "event 0, leg 0 (g) is off shell"),
        (np.full((2, 4, 4), np.nan), "momenta of event 0 are not finite"),
    ],
    ids=["balance", "shape", "order", "nan"],
)
def test_wrong_momenta_are_refused(tmp_path, momenta, said):
    np.save(tmp_path / "events.npy", momenta)
    assert said in refusal("g g > t t~", "--momenta", str(tmp_path / "events.npy"))


PIPELINE = """
pipeline: generated
parameters: {MT: 173.0, aS: 0.118}
events: {uses: "own:events", count: 6, shard: 3, options: {shift: %s}}
stages:
  me:
    uses: matrix_element
    over: events
    options: {process: "g g > t t~"%s}
    inputs: {momenta: events.momenta}
    parameters: [MT, aS]
  total:
    uses: "own:total"
    over: events
    inputs: {value: me.value}
    outputs: {total: {sum: true}}
objective: total.total
"""
OWN = """
import jax.numpy as jnp
import numpy as np


def events(start, stop, *, count, seed, shift):
    momenta = np.load(%r)[start:stop]
    momenta[:, 2, 1] += shift
    return {"momenta": momenta}


def total(parameters, inputs):
    return {"total": jnp.sum(inputs["value"])}
"""


@pytest.fixture
def generated(tmp_path):
    """Writes the pipeline; gives its path."""

    def write(shift=0.0, options=""):
        np.save(tmp_path / "events.npy", GG_TT["momenta"])
        (tmp_path / "own.py").write_text(OWN % str(tmp_path / "events.npy"))
        (tmp_path / "pipeline.yaml").write_text(PIPELINE % (shift, options))
        return str(tmp_path / "pipeline.yaml")

    return write


@pytest.mark.slow  # the pullback of g g > t t~ is compiled, its masses on shell
def test_the_stage_gives_the_sum_and_its_gradient(tmp_path, generated):
    words = ["run", "backward", generated(options=", on_shell: true"), "--json"]
    found = document(diffpipe(*words, store=tmp_path / "store"))
    assert found["objective"]["value"] == pytest.approx(sum(GG_TT["value"][:6]), rel=1e-10)
    wanted = sum(GG_TT["gradient_MT_onshell"][:6])
    assert found["gradient"]["MT"] == pytest.approx(wanted, rel=1e-8)


@pytest.mark.slow  # whole runs; the rules are tested by themselves
def test_the_stage_looks_at_the_first_shards_momenta(tmp_path, generated):
    words = ["run", "forward", generated(shift=3.0)]
    done = diffpipe(*words, store=tmp_path / "store")
    assert done.returncode == 2
    assert "stage me, shard 0: momenta of event" in done.stderr
    assert "do not balance" in done.stderr


def test_a_process_that_cannot_be_is_said_before_anything_runs(tmp_path, generated):
    path = generated()
    text = Path(path).read_text().replace("g g > t t~", "g g > t t")
    Path(path).write_text(text)
    done = diffpipe("run", "forward", path, store=tmp_path / "store")
    assert done.returncode == 2
    assert "stage me" in done.stderr
    assert "charge is not conserved" in done.stderr


@pytest.mark.slow  # whole runs; the rules are tested by themselves
def test_a_card_can_be_data(tmp_path, generated):
    (tmp_path / "card.dat").write_text("BLOCK SMINPUTS\n 3 0.13\n")
    path = Path(generated())
    text = path.read_text().replace(
        "parameters: {MT: 173.0, aS: 0.118}",
        "parameters: {MT: 173.0}\ndata: {card: {reader: param_card, path: card.dat}}",
    )
    text = text.replace(
        "{momenta: events.momenta}", "{momenta: events.momenta, card: data.card}"
    ).replace("[MT, aS]", "[MT]")
    path.write_text(text)
    found = document(diffpipe("run", "forward", str(path), "--json", store=tmp_path / "store"))
    wanted = sum(GG_TT["value"][:6]) * (0.13 / 0.118) ** 2
    assert found["objective"]["value"] == pytest.approx(wanted, rel=1e-10)


def test_the_sample_points_are_on_shell_and_balance():
    for process in ("g g > t t~ h", "t > b w+", "b b~ > h", "e+ e- > w+ w- z"):
        (made,) = build(process)
        masses = [float(mass) for mass in made.masses({})]
        first = len(made.process.initial)
        p = points.sample(masses[:first], masses[first:], 50)
        square = p[..., 0] ** 2 - (p[..., 1:] ** 2).sum(axis=-1)
        # rounding of squares of the energy
        np.testing.assert_allclose(
            square, np.broadcast_to(np.square(masses), square.shape), atol=1e-9
        )
        np.testing.assert_allclose(p[:, :first].sum(axis=1), p[:, first:].sum(axis=1), atol=1e-9)


def test_the_command_needs_no_store(tmp_path):
    done = diffpipe("me", "e+ e- > mu+ mu-", store=tmp_path / "store", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())


def test_a_mistake_ends_without_a_traceback(tmp_path):
    done = diffpipe("me", "e+ e- > mu+ muo-", "--json", store=tmp_path / "store")
    assert done.returncode == 2
    assert done.stderr.startswith("error: process 'e+ e- > mu+ muo-': unknown particle 'muo-'")
    assert document(done)["error"]["kind"] == "pipeline"
