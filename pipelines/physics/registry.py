"""What `uses:` and `reader:` may say without naming a module: dicts, as plain as they look.

Names only, so that a plan reads them without importing the code behind them.
"""

from typing import NamedTuple

STAGES = {
    "cut_flow": "diffpipe.pipelines.physics.analysis.cut_flow:cut_flow",
    "drell_yan_lo": "diffpipe.pipelines.physics.matrix_elements.drell_yan:drell_yan_lo",
    "eko_evolution": "diffpipe.pipelines.physics.pdf.external.stage:eko_evolution",
    "extended": "diffpipe.pipelines.physics.likelihood.unbinned:extended",
    "fk_table": "diffpipe.pipelines.physics.pdf.external.stage:fk_table",
    "gaussian": "diffpipe.pipelines.physics.likelihood.gaussian:gaussian",
    "matrix_element": "diffpipe.pipelines.physics.matrix_elements.stage:matrix_element",
    "histfactory": "diffpipe.pipelines.physics.likelihood.histfactory.stage:histfactory",
    "inference": "diffpipe.pipelines.physics.likelihood.inference.stage:inference",
    "histogram": "diffpipe.pipelines.physics.analysis.histogram:histogram",
    "parton_luminosity": "diffpipe.pipelines.physics.pdf.lhapdf.stage:parton_luminosity",
    "lhapdf_density": "diffpipe.pipelines.physics.pdf.lhapdf.stage:lhapdf_density",
    "pdf_evolution": "diffpipe.pipelines.physics.pdf.stage:pdf_evolution",
    "pdf_from_operator": "diffpipe.pipelines.physics.pdf.stage:pdf_from_operator",
    "pdf_interpolation": "diffpipe.pipelines.physics.pdf.lhapdf.stage:pdf_interpolation",
    "pdf_kernels": "diffpipe.pipelines.physics.pdf.kernels.stage:pdf_kernels",
    "pdf_operator": "diffpipe.pipelines.physics.pdf.stage:pdf_operator",
    "phase_space": "diffpipe.pipelines.physics.events.phase_space:phase_space",
    "poisson": "diffpipe.pipelines.physics.likelihood.poisson:poisson",
    "quantile_bins": "diffpipe.pipelines.physics.analysis.quantile_bins:quantile_bins",
    "score_function": "diffpipe.pipelines.physics.analysis.score_function:score_function",
    "selection": "diffpipe.pipelines.physics.analysis.selection:selection",
    "unbinned": "diffpipe.pipelines.physics.likelihood.unbinned:unbinned",
}

# options that name a package of code; and what that code runs on
PACKAGES = {STAGES["matrix_element"]: {"package": "madjax"}}

# stages that bring other stages and data along, and what says which, by their options
COMPANIONS = {
    STAGES["histfactory"]: (
        "diffpipe.pipelines.physics.likelihood.histfactory.companions:companions"
    ),
    STAGES["inference"]: "diffpipe.pipelines.physics.likelihood.inference.companions:companions",
    STAGES["pdf_evolution"]: "diffpipe.pipelines.physics.pdf.companions:companions",
    STAGES["pdf_operator"]: "diffpipe.pipelines.physics.pdf.companions:companions",
}


class Fitness(NamedTuple):
    """Outputs of a likelihood: -2 log L, a chi^2 of the fit if it has one, and one with a row per
    term of that."""

    objective: str
    goodness: str | None = None
    points: str = "pulls"


# stages whose curvature along their inputs' tangents is that of the whole fit
LIKELIHOODS = {
    STAGES["gaussian"]: Fitness("chi2", "chi2"),
    STAGES["histfactory"]: Fitness("twice_nll"),
    STAGES["poisson"]: Fitness("twice_nll", "saturated"),
}

SOURCES = {
    "lhe": "diffpipe.pipelines.physics.events.lhe:lhe",
    "root": "diffpipe.pipelines.physics.events.root:root",
    "sobol": "diffpipe.pipelines.physics.events.sobol:sobol",
    "unit_cube": "diffpipe.pipelines.physics.events.unit_cube:unit_cube",
}

READERS = {
    "csv": "diffpipe.pipelines.physics.readers:csv",
    "eko": "diffpipe.pipelines.physics.pdf.external.eko:eko",
    "histfactory": "diffpipe.pipelines.physics.likelihood.histfactory.reader:histfactory",
    "lhapdf": "diffpipe.pipelines.physics.pdf.lhapdf.reader:lhapdf",
    "param_card": "diffpipe.pipelines.physics.matrix_elements.model.card:param_card",
    "npz": "diffpipe.pipelines.physics.readers:npz",
    "pineappl": "diffpipe.pipelines.physics.pdf.external.pineappl:fk_table",
}
