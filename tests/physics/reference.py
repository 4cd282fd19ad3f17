"""Published inputs and numbers that the physics tests compare with."""

import json
from pathlib import Path

import numpy as np

# MSTW 2008 LO, Table 4 of arXiv:0901.0002
MSTW2008LO = {
    "A_u": 1.4335, "eta_1": 0.45232, "eta_2": 3.0409, "eps_u": -2.3737, "gamma_u": 8.9924,
    "A_d": 5.0903, "eta_3": 0.71978, "eta_4": 5.1244, "eps_d": -4.3654, "gamma_d": 7.473,
    "A_S": 0.59964, "delta_S": -0.16276, "eta_S": 8.8801, "eps_S": -2.9012, "gamma_S": 16.865,
    "A_Delta": 8.9413, "eta_Delta": 1.876, "gamma_Delta": 8.4703, "delta_Delta": -36.507,
    "A_g": 0.0012216, "delta_g": -0.83657, "eta_g": 2.3882, "eps_g": -38.997, "gamma_g": 1445.5,
    "A_plus": 0.10302, "eta_plus": 13.242,
    "A_minus": -0.011523, "eta_minus": 10.285, "x_0": 0.017414,
}  # fmt: skip

ELECTROWEAK = {
    "sin2_theta_eff": 0.23152, "alpha": 1 / 128.89, "m_z": 91.1876, "gamma_z": 2.4952,
}  # fmt: skip
QCD = {"alphas_q0": 0.68183, "m_c": 1.40, "m_b": 4.75}


def pdf_parameters():
    """All parameters of the evolution stage, as float64 arrays."""
    own = {f"pdf.{name}": value for name, value in MSTW2008LO.items()}
    return {name: np.asarray(value) for name, value in (own | QCD).items()}


def electroweak(**changed):
    """All parameters of the matrix element, as float64 arrays."""
    return {name: np.asarray(value) for name, value in (ELECTROWEAK | changed).items()}


def columns(names, numbers):
    """A printed table, one row per x, as {name of the column: array over x}."""
    rows = np.array([line.split() for line in numbers.strip().splitlines()], dtype=np.float64)
    return dict(zip(names.split(), rows.T, strict=True))


# Les Houches benchmark of PDF evolution: published tables, with their sources inside
BENCHMARK = json.loads((Path(__file__).parent / "les_houches.json").read_text())
TABLE_X = np.array(BENCHMARK["x"][:-1])  # without 0.9, where some entries have four digits
