"""Amounts of bytes, in words."""

_UNITS = ("B", "kB", "MB", "GB", "TB")


def bytes_in_words(count: float) -> str:
    """Three digits and a unit, in powers of 1000: 648 B, 47.3 MB."""
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.3g} {_UNITS[unit]}"
