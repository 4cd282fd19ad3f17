"""The Standard Model as MadGraph's `sm` writes it: particles, inputs, couplings, interactions."""
