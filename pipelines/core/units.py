"""Units: symbols and their products, quotients and integer powers ("pb/GeV", "GeV^2", "1")."""

import re

from diffpipe.cache.errors import PipelineError, did_you_mean

SYMBOLS = {
    "1": "dimensionless",
    "%": "percent",
    "eV": "electronvolt",
    "keV": "1e3 eV",
    "MeV": "1e6 eV",
    "GeV": "1e9 eV",
    "TeV": "1e12 eV",
    "b": "barn, 1e-28 m^2",
    "mb": "1e-3 b",
    "ub": "1e-6 b",
    "nb": "1e-9 b",
    "pb": "1e-12 b",
    "fb": "1e-15 b",
    "ab": "1e-18 b",
    "rad": "radian",
    "mrad": "1e-3 rad",
    "deg": "degree",
    "sr": "steradian",
    "m": "metre",
    "cm": "1e-2 m",
    "mm": "1e-3 m",
    "um": "1e-6 m",
    "nm": "1e-9 m",
    "fm": "1e-15 m",
    "s": "second",
    "ms": "1e-3 s",
    "us": "1e-6 s",
    "ns": "1e-9 s",
    "ps": "1e-12 s",
    "Hz": "hertz",
    "kg": "kilogram",
    "g": "gram",
    "K": "kelvin",
    "T": "tesla",
    "V": "volt",
    "A": "ampere",
    "C": "coulomb",
    "J": "joule",
    "event": "a count of events",
}
_FACTOR = re.compile(r"([A-Za-z%]+|1)(?:\^(-?\d+))?")


def check_unit(unit: str, where: str) -> str:
    """The unit itself; raises PipelineError naming the unknown symbol and its neighbours."""
    for factor in re.split(r"[*/]", unit):
        match = _FACTOR.fullmatch(factor.strip())
        symbol = match.group(1) if match else factor.strip()
        if match is None or symbol not in SYMBOLS:
            raise PipelineError(
                f"{where}: unknown unit {unit!r}", hint=did_you_mean(symbol, SYMBOLS)
            )
    return unit


def per(numerator: str, denominator: str) -> str:
    """The unit of a derivative, as text."""
    if denominator == "1":
        return numerator
    simple = _FACTOR.fullmatch(denominator)
    return f"{numerator}/{denominator if simple else f'({denominator})'}"
