"""Published inputs and numbers that the physics tests compare with."""

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


# Section 1.3 of hep-ph/0204316: LO evolution of the toy input to Q^2 = 1e4 GeV^2, all scales equal
TABLE_X = np.array([1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.3, 0.5, 0.7])
TABLE_FIXED_FLAVOURS = columns(
    "xu_v xd_v xL_- 2xL_+ xs_+ xc_+ xg",
    """
    5.7722e-05 3.4343e-05 7.6527e-07 99.465 48.642 47.914 1316.2
    0.00033373 0.000198 5.0137e-06 50.259 24.263 23.685 600.08
    0.0018724 0.0011065 3.1696e-05 24.378 11.501 11.042 254.19
    0.010057 0.0059076 0.00019071 11.323 5.1164 4.753 97.371
    0.050392 0.029296 0.0010618 5.0324 2.0918 1.8089 32.078
    0.21955 0.12433 0.0049731 2.0433 0.72814 0.53247 8.0546
    0.57267 0.28413 0.01047 0.40832 0.11698 0.058864 0.88766
    0.37925 0.14186 0.0033029 0.040165 0.010516 0.0041379 0.082676
    0.13476 0.035364 0.00042815 0.0028624 0.00073138 0.00026481 0.007924
    0.023123 0.0035943 1.5868e-05 6.8961e-05 1.7725e-05 6.5549e-06 0.00037311
    """,
)
TABLE_VARIABLE_FLAVOURS = columns(
    "xu_v xd_v xL_- 2xL_+ xs_+ xc_+ xb_+ xg",
    """
    5.8771e-05 3.4963e-05 7.8233e-07 101.81 49.815 49.088 46.07 1327.2
    0.00033933 0.00020129 5.1142e-06 51.182 24.725 24.148 22.239 601.17
    0.0019006 0.0011229 3.2249e-05 24.693 11.659 11.201 10.037 252.82
    0.010186 0.0059819 0.00019345 11.406 5.1583 4.7953 4.1222 96.048
    0.050893 0.029576 0.001073 5.0424 2.0973 1.8147 1.4582 31.333
    0.2208 0.12497 0.0049985 2.0381 0.72625 0.53107 0.38106 7.7728
    0.57166 0.28334 0.010428 0.40496 0.11596 0.058288 0.035056 0.84358
    0.37597 0.14044 0.0032629 0.039592 0.010363 0.004074 0.0022039 0.078026
    0.13284 0.034802 0.00042031 0.0028066 0.00071707 0.00025958 0.00013522 0.0074719
    0.022643 0.0035134 1.5468e-05 6.7201e-05 1.7278e-05 6.3958e-06 3.3996e-06 0.00035241
    """,
)
