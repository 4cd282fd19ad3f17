"""The shipped Drell-Yan pipelines as plain functions, composed from their files."""

import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import yaml
from support import quickly

from diffpipe.pipelines.library.drell_yan.stages import asymmetry, weight
from diffpipe.pipelines.physics.analysis.histogram import histogram
from diffpipe.pipelines.physics.events.sobol import sobol
from diffpipe.pipelines.physics.likelihood.gaussian import gaussian
from diffpipe.pipelines.physics.matrix_elements.drell_yan import drell_yan_lo
from diffpipe.pipelines.physics.pdf.stage import pdf_evolution

LIBRARY = Path(weight.__code__.co_filename).parent.parent
QCD = ("alphas_q0", "m_c", "m_b")
ELECTROWEAK = ("sin2_theta_eff", "alpha", "m_z", "gamma_z")


class Composed:
    """A pipeline file as plain functions; what they make of its own parameters is kept."""

    def __init__(self, name):
        self.folder = LIBRARY / name
        self.file = yaml.safe_load((self.folder / "pipeline.yaml").read_text())
        entries = self.file["parameters"].items()
        self.parameters = {key: np.asarray(entry["value"]) for key, entry in entries}

    def options(self, stage):
        return self.file["stages"][stage].get("options", {})

    def events(self, start, stop):
        source = self.file["events"]
        columns = sobol(
            start, stop, count=source["count"], seed=source["seed"], **source["options"]
        )
        return {name: jnp.asarray(column) for name, column in columns.items()}

    def densities(self, **options):
        """The outputs of the stage pdf, with some options changed."""
        options = self.options("pdf") | options
        own = {name: v for name, v in self.parameters.items() if name.startswith("pdf.")}
        own |= {name: self.parameters[name] for name in QCD}
        return quickly(lambda p: pdf_evolution(p, {}, **options))(own)

    def histogram(self, parameters, pdf, events):
        """The outputs of the stage histogram for some events."""
        electroweak = {name: parameters[name] for name in ELECTROWEAK}
        inputs = drell_yan_lo(electroweak, events) | events | pdf
        weights = weight({}, inputs, **self.options("weight"))
        return histogram({}, weights | events, **self.options("histogram"))

    @functools.cached_property
    def pdf(self):
        return self.densities()

    @functools.cached_property
    def shards(self):
        count, shard = self.file["events"]["count"], self.file["events"]["shard"]
        return [self.events(start, start + shard) for start in range(0, count, shard)]

    @functools.cached_property
    def one_shard(self):
        return quickly(self.histogram)

    def totals(self, **electroweak):
        """The histogram summed over all shards, with other electroweak parameters."""
        changed = {name: np.asarray(value) for name, value in electroweak.items()}
        parameters = self.parameters | changed
        parts = [self.one_shard(parameters, self.pdf, events) for events in self.shards]
        return {name: sum(part[name] for part in parts) for name in parts[0]}

    @functools.cached_property
    def chi2(self):
        """The objective as a function of the summed moments."""
        folder = self.folder / "data"
        table = np.genfromtxt(folder / "cms13_A4.csv", delimiter=",", names=True)
        covariance = np.loadtxt(folder / "cms13_A4.cov.csv", delimiter=",")
        data = {"measured": jnp.asarray(table["A4"]), "covariance": jnp.asarray(covariance)}

        def objective(moments):
            prediction = asymmetry({}, {"moments": moments})["a4"]
            return gaussian({}, data | {"prediction": prediction})["chi2"]

        return quickly(objective)
