"""Inference: maximum-likelihood fits and asymptotic tests, differentiated implicitly."""
