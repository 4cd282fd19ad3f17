"""From a process to its off-shell currents, their colour and the terms of its amplitude."""
