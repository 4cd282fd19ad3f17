"""What `uses:` and `reader:` may say without naming a module: dicts, as plain as they look.

Names only, so that a plan reads them without importing the code behind them.
"""

STAGES = {
    "drell_yan_lo": "diffpipe.pipelines.physics.matrix_elements.drell_yan:drell_yan_lo",
    "eko_evolution": "diffpipe.pipelines.physics.pdf.external.stage:eko_evolution",
    "fk_table": "diffpipe.pipelines.physics.pdf.external.stage:fk_table",
    "gaussian": "diffpipe.pipelines.physics.likelihood.gaussian:gaussian",
    "matrix_element": "diffpipe.pipelines.physics.matrix_elements.stage:matrix_element",
    "histogram": "diffpipe.pipelines.physics.analysis.histogram:histogram",
    "parton_luminosity": "diffpipe.pipelines.physics.pdf.lhapdf.stage:parton_luminosity",
    "lhapdf_density": "diffpipe.pipelines.physics.pdf.lhapdf.stage:lhapdf_density",
    "pdf_evolution": "diffpipe.pipelines.physics.pdf.stage:pdf_evolution",
    "pdf_from_operator": "diffpipe.pipelines.physics.pdf.stage:pdf_from_operator",
    "pdf_interpolation": "diffpipe.pipelines.physics.pdf.lhapdf.stage:pdf_interpolation",
    "pdf_kernels": "diffpipe.pipelines.physics.pdf.kernels.stage:pdf_kernels",
    "pdf_operator": "diffpipe.pipelines.physics.pdf.stage:pdf_operator",
    "phase_space": "diffpipe.pipelines.physics.events.phase_space:phase_space",
}

# options that name a package of code; and what that code runs on
PACKAGES = {STAGES["matrix_element"]: {"package": "madjax"}}

# stages that bring other stages and data along, and what says which, by their options
COMPANIONS = {
    STAGES[name]: "diffpipe.pipelines.physics.pdf.companions:companions"
    for name in ("pdf_evolution", "pdf_operator")
}

SOURCES = {
    "lhe": "diffpipe.pipelines.physics.events.lhe:lhe",
    "sobol": "diffpipe.pipelines.physics.events.sobol:sobol",
    "unit_cube": "diffpipe.pipelines.physics.events.unit_cube:unit_cube",
}

READERS = {
    "csv": "diffpipe.pipelines.physics.readers:csv",
    "eko": "diffpipe.pipelines.physics.pdf.external.eko:eko",
    "lhapdf": "diffpipe.pipelines.physics.pdf.lhapdf.reader:lhapdf",
    "param_card": "diffpipe.pipelines.physics.matrix_elements.model.card:param_card",
    "npz": "diffpipe.pipelines.physics.readers:npz",
    "pineappl": "diffpipe.pipelines.physics.pdf.external.pineappl:fk_table",
}
