"""What `uses:` and `reader:` may say without naming a module: dicts, as plain as they look.

Names only, so that a plan reads them without importing the code behind them.
"""

STAGES = {
    "drell_yan_lo": "diffpipe.pipelines.physics.matrix_elements.drell_yan:drell_yan_lo",
    "gaussian": "diffpipe.pipelines.physics.likelihood.gaussian:gaussian",
    "histogram": "diffpipe.pipelines.physics.analysis.histogram:histogram",
    "pdf_evolution": "diffpipe.pipelines.physics.pdf.stage:pdf_evolution",
}

SOURCES = {
    "sobol": "diffpipe.pipelines.physics.events.sobol:sobol",
}

READERS = {
    "csv": "diffpipe.pipelines.physics.readers:csv",
    "npz": "diffpipe.pipelines.physics.readers:npz",
}
