"""Numbers: wavefunctions, vertices and propagators in JAX, and the walk over the currents."""
