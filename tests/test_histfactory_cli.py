"""`diffpipe histfactory`, as a physicist meets it."""

import contextlib
import io
import json

import numpy as np
import pytest
from physics.test_histfactory import changed, document, hello, normfactor

from diffpipe.cache.errors import DiffpipeError
from diffpipe.cli.app import app


def histfactory(*words):
    """What the command prints, run in this process."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        app(["histfactory", *map(str, words)], standalone_mode=False)
    return printed.getvalue()


def refusal(*words, code=2):
    """What the command says of a mistake of the user's: the message, and what to try."""
    with pytest.raises(DiffpipeError) as raised:
        histfactory(*words)
    assert raised.value.exit_code == code
    return f"{raised.value.message} | {raised.value.hint}"


@pytest.fixture
def workspace(tmp_path):
    def write(raw=None):
        path = tmp_path / "workspace.json"
        path.write_text(json.dumps(hello() if raw is None else raw))
        return path

    return write


def test_the_document_has_what_it_promises(workspace):
    found = json.loads(histfactory(workspace(), "--json"))
    assert set(found) == {"logpdf", "gradient", "bestfit", "seconds"}
    # -4.25748227: pyhf's documented value, 9 digits
    assert found["logpdf"] == pytest.approx(-4.25748227, abs=5e-9)
    names = ["mu", "uncorr_bkguncrt[0]"]
    assert list(found["gradient"]) == list(found["bestfit"]) == names
    np.testing.assert_allclose(list(found["gradient"].values()), 0.0, atol=1e-13)  # rounding
    # 15 events observed, 5 + 10 expected; a Newton step ends at 1e-8 of the width
    np.testing.assert_allclose(list(found["bestfit"].values()), 1.0, atol=1e-7)
    assert set(found["seconds"]) == {"build", "compile", "call"}
    assert all(each > 0.0 for each in found["seconds"].values())


def test_cls_of_the_published_example(workspace):
    raw = hello([12.0, 11.0], [50.0, 52.0], [3.0, 7.0], [51.0, 48.0])
    words = (workspace(raw), "--cls", 1, "--at", "mu=1,uncorr_bkguncrt=[1.0,1.0]", "--json")
    found = json.loads(histfactory(*words))
    # value and gradient: pyhf at its suggested start, all digits that are published
    assert found["logpdf"] == pytest.approx(-15.387627173, abs=1e-9)
    slopes = [-4.74807988, -8.87096774, -12.38095238]
    np.testing.assert_allclose(list(found["gradient"].values()), slopes, atol=1e-8)
    # pyhf's fits end where log L is 1e-6 below its maximum: CLs follow to 1e-5 of themselves
    assert found["cls"]["observed"] == pytest.approx(0.05251497, abs=1e-6)
    expected = [0.00260626, 0.01382005, 0.06445319, 0.23525641, 0.57303617]
    np.testing.assert_allclose(found["cls"]["expected"], expected, rtol=1e-4)
    # mu is at its bound; without signal a factor is (n + tau)/(b + tau), tau = (b/d)^2
    tau = np.array([(50.0 / 3.0) ** 2, (52.0 / 7.0) ** 2])
    gamma = (np.array([51.0, 48.0]) + tau) / (np.array([50.0, 52.0]) + tau)
    np.testing.assert_allclose(list(found["bestfit"].values()), [0.0, *gamma], atol=1e-7)


def test_the_table_has_a_row_for_each_parameter(workspace):
    patch = workspace().parent / "patch.json"
    patch.write_text(
        json.dumps([{"op": "replace", "path": "/channels/0/samples/0/data", "value": [6.0]}])
    )
    lines = histfactory(workspace(), "--patch", patch, "--at", "mu=0").splitlines()
    assert lines[0].endswith("workspace.json: 2 parameters")
    assert lines[2].split()[:4] == ["-2", "log", "L", "="]
    rows = {line.split()[0]: line.split()[1:] for line in lines[4:6]}
    # at mu = 0, gamma = 1: s n/b - s = 6 (15/10 - 1); the best fit is mu = 5/6
    assert float(rows["mu"][0]) == pytest.approx(3.0)
    assert float(rows["mu"][1]) == pytest.approx(5.0 / 6.0, abs=1e-7)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at", "uncorr_bkg=1"], "no parameter 'uncorr_bkg' | did you mean uncorr_bkguncrt"),
        (["--at", "mu=one"], "--at mu=one: not name=value"),
        (["--at", "uncorr_bkguncrt=[1,2]"], "has 1 values, and 2 are given"),
        (["--measurement", "n"], "there is no measurement 'n' | known: m"),
        (["--patch", "nothing.json"], "cannot read nothing.json"),
        (["--cls", "-1"], "a signal strength to test is a number, zero or above"),
    ],
)
def test_a_wrong_request_is_refused_in_words(workspace, words, said):
    assert said in refusal(workspace(), *words)


def test_a_wrong_workspace_is_refused_with_the_place(workspace):
    raw = changed((("channels", 0, "samples", 1, "data", 0), "ten"))
    said = refusal(workspace(raw))
    assert 'channels[0].samples[1].data[0]: must be of type number, got "ten"' in said


def test_cls_needs_a_signal(workspace):
    samples = [{"name": "bkg", "data": [10.0], "modifiers": [normfactor("norm")]}]
    path = workspace(document({"SR": samples}, {"SR": [12.0]}))
    said = refusal(path, "--cls", "1")
    assert "parameter of interest, 'mu', is none of the workspace" in said


def test_a_likelihood_that_is_zero_is_explained_by_its_bin(workspace):
    raw = hello([0.0, 5.0], [0.0, 10.0], [1.0, 3.5], [2.0, 15.0])
    said = refusal(workspace(raw), code=1)
    assert "bin 0 of channel singlechannel expects no event, and has 2" in said
