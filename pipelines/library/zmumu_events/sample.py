"""The toy samples that ship: muon pairs from Z decays over a falling background.

Run with two paths, a .root and a .lhe.gz file, it writes both. They are no measurement and no
prediction: a Breit-Wigner peak, an exponential background, decays without spin.
"""

import gzip
import sys
from pathlib import Path
from typing import Any

import numpy as np

SEED = 20
ROOT_PAIRS, LHE_PAIRS = 2304, 400
SIGNAL = 0.8  # share of pairs
M_Z, GAMMA_Z, M_MUON = 91.1876, 2.4952, 0.1056583755  # GeV
BEAM = 4000.0  # GeV
RESOLUTION = 0.015  # of a muon's momentum
SAME_SIGN = 0.35  # share of the background


def pairs(count: int, generator: np.random.Generator, *, recoil: float) -> dict[str, np.ndarray]:
    """Momenta (event, 2, 4) in GeV of two muons in acceptance, and which are signal.

    recoil: mean transverse momentum of a pair, GeV.
    """
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    while sum(len(signal) for _, signal in kept) < count:
        momenta, signal = _drawn(count, generator, recoil)
        pt = np.hypot(momenta[:, :, 1], momenta[:, :, 2])
        seen = ((pt > 10.0) & (abs(np.arcsinh(momenta[:, :, 3] / pt)) < 2.6)).all(axis=1)
        kept.append((momenta[seen], signal[seen]))
    momenta, signal = (np.concatenate(parts)[:count] for parts in zip(*kept, strict=True))
    return {"momenta": momenta, "signal": signal}


def write_root(path: Path) -> None:
    """Measured pairs, in the columns of the CMS open-data sample that is known as Zmumu."""
    import uproot

    generator = np.random.default_rng(SEED)
    made = pairs(ROOT_PAIRS, generator, recoil=15.0)
    momenta = _on_shell(
        made["momenta"][:, :, 1:] * generator.normal(1.0, RESOLUTION, (ROOT_PAIRS, 2, 1))
    )
    charge = generator.choice([-1, 1], ROOT_PAIRS)
    same = ~made["signal"] & (generator.uniform(size=ROOT_PAIRS) < SAME_SIGN)
    columns: dict[str, Any] = {}
    for muon, charges in enumerate((charge, np.where(same, charge, -charge))):
        columns |= _columns(str(muon + 1), momenta[:, muon], charges)
    columns["M"] = _mass(momenta.sum(axis=1)).astype(np.float32)
    with uproot.recreate(path, compression=uproot.LZMA(6)) as file:
        file["events"] = columns


def write_lhe(path: Path) -> None:
    """Pairs as u u~ > mu- mu+ gives them, without a recoil."""
    generator = np.random.default_rng(SEED + 1)
    made = pairs(LHE_PAIRS, generator, recoil=0.0)
    text = "".join(['<LesHouchesEvents version="3.0">\n<init>\n', _init(), "</init>\n"])
    text += "".join(_event(momenta) for momenta in made["momenta"])
    data = (text + "</LesHouchesEvents>\n").encode()
    path.write_bytes(gzip.compress(data, mtime=0))


def _drawn(
    count: int, generator: np.random.Generator, recoil: float
) -> tuple[np.ndarray, np.ndarray]:
    signal = generator.uniform(size=count) < SIGNAL
    peak = M_Z + 0.5 * GAMMA_Z * np.tan(np.pi * (generator.uniform(0.03, 0.97, count) - 0.5))
    mass = np.where(signal, peak, 40.0 + generator.exponential(30.0, count))
    y = generator.normal(0.0, 1.2, count)
    pt = recoil * generator.gamma(2.0, 0.5, count)
    phi = generator.uniform(-np.pi, np.pi, count)
    transverse = np.hypot(mass, pt)
    pair = np.stack(
        [transverse * np.cosh(y), pt * np.cos(phi), pt * np.sin(phi), transverse * np.sinh(y)],
        axis=1,
    )
    return _decayed(pair, mass, generator), signal


def _decayed(pair: np.ndarray, mass: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Two muons of a pair's momentum, back to back and isotropic in its rest frame."""
    cosine = generator.uniform(-1.0, 1.0, mass.size)
    phi = generator.uniform(-np.pi, np.pi, mass.size)
    sine = np.sqrt(1.0 - cosine**2)
    momentum = np.sqrt(0.25 * mass**2 - M_MUON**2)[:, None]
    three = momentum * np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=1)
    return np.stack([_boosted(each, pair, mass) for each in (three, -three)], axis=1)


def _boosted(three: np.ndarray, pair: np.ndarray, mass: np.ndarray) -> np.ndarray:
    along = np.sum(pair[:, 1:] * three, axis=1)
    factor = (0.5 * mass + along / (pair[:, 0] + mass)) / mass
    return _on_shell(three + factor[:, None] * pair[:, 1:])


def _on_shell(three: np.ndarray) -> np.ndarray:
    energy = np.sqrt(np.sum(three**2, axis=-1, keepdims=True) + M_MUON**2)
    return np.concatenate([energy, three], axis=-1)


def _mass(momentum: np.ndarray) -> np.ndarray:
    return np.sqrt(momentum[:, 0] ** 2 - np.sum(momentum[:, 1:] ** 2, axis=1))


def _columns(muon: str, momentum: np.ndarray, charge: np.ndarray) -> dict[str, np.ndarray]:
    energy, px, py, pz = momentum.T
    pt = np.hypot(px, py)
    numbers = {"E": energy, "px": px, "py": py, "pz": pz, "pt": pt}
    numbers |= {"eta": np.arcsinh(pz / pt), "phi": np.arctan2(py, px)}
    columns = {word + muon: each.astype(np.float32) for word, each in numbers.items()}
    return columns | {"Q" + muon: charge.astype(np.int32)}


def _init() -> str:
    # 3: unweighted events, all of weight one
    return f"2212 2212 {BEAM:.1e} {BEAM:.1e} 0 0 0 0 3 1\n1.0 0.0 1.0 1\n"


def _event(momenta: np.ndarray) -> str:
    energy, _, _, pz = momenta.sum(axis=0)
    scale = _mass(momenta.sum(axis=0)[None])[0]
    partons = [(2, -1, 0.5 * (energy + pz)), (-2, -1, 0.5 * (energy - pz))]
    lines = [f"4 1 1.0 {scale:.8e} 7.8e-03 1.2e-01"]
    for (pdg, status, each), sign in zip(partons, (1.0, -1.0), strict=True):
        colour = "501 0" if pdg > 0 else "0 501"
        lines.append(f"{pdg} {status} 0 0 {colour} {_numbers((0.0, 0.0, sign * each, each, 0.0))}")
    for pdg, momentum in zip((13, -13), momenta, strict=True):
        lines.append(f"{pdg} 1 1 2 0 0 {_numbers((*momentum[1:], momentum[0], M_MUON))}")
    return "\n".join(["<event>", *lines, "</event>", ""])


def _numbers(values: Any) -> str:
    """Momentum [px, py, pz, E] and mass in GeV, lifetime and spin."""
    return " ".join(f"{value:.10e}" for value in values) + " 0.0 9.0"


if __name__ == "__main__":
    write_root(Path(sys.argv[1]))
    write_lhe(Path(sys.argv[2]))
