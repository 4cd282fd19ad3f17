"""HistFactory likelihoods, differentiable in parameters and in every template."""
