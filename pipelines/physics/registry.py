"""What `uses:` and `reader:` may say without naming a module: dicts, as plain as they look.

Names only, so that a plan reads them without importing the code behind them.
"""

STAGES = {
    "drell_yan_lo": "diffpipe.pipelines.physics.matrix_elements.drell_yan:drell_yan_lo",
    "gaussian": "diffpipe.pipelines.physics.likelihood.gaussian:gaussian",
    "matrix_element": "diffpipe.pipelines.physics.matrix_elements.stage:matrix_element",
    "histogram": "diffpipe.pipelines.physics.analysis.histogram:histogram",
    "pdf_evolution": "diffpipe.pipelines.physics.pdf.stage:pdf_evolution",
    "phase_space": "diffpipe.pipelines.physics.events.phase_space:phase_space",
}

# options that name a package of code; and what that code runs on
PACKAGES = {STAGES["matrix_element"]: {"package": "madjax"}}

SOURCES = {
    "lhe": "diffpipe.pipelines.physics.events.lhe:lhe",
    "sobol": "diffpipe.pipelines.physics.events.sobol:sobol",
    "unit_cube": "diffpipe.pipelines.physics.events.unit_cube:unit_cube",
}

READERS = {
    "csv": "diffpipe.pipelines.physics.readers:csv",
    "param_card": "diffpipe.pipelines.physics.matrix_elements.model.card:param_card",
    "npz": "diffpipe.pipelines.physics.readers:npz",
}
