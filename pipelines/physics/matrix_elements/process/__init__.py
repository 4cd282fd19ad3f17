"""Processes as physicists write them, parsed and expanded into concrete legs."""
