"""LHAPDF sets as arrays, read without the LHAPDF library (arXiv:1412.7420)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from diffpipe.pipelines.physics.pdf.lhapdf import metadata, subgrids
from diffpipe.pipelines.physics.pdf.lhapdf.files import SetFiles
from diffpipe.pipelines.physics.pdf.lhapdf.subgrids import Subgrid


class Member(NamedTuple):
    """A member of a set: PDG numbers of its flavours (gluon 21), subgrids by rising Q, metadata."""

    pids: tuple[int, ...]
    subgrids: tuple[Subgrid, ...]
    info: Mapping[str, Any]


def read(files: SetFiles) -> Member:
    """A member of a set, its own metadata over those of the set.

    Raises RefusedError, with file and line, for what is malformed or breaks off.
    """
    cut = subgrids.blocks(files.member)
    own = metadata.parse(files.member, [(line.number, line.text) for line in cut.head])
    info = metadata.read(files.info) | own
    metadata.check_format(info, files)
    return Member(*subgrids.parse(cut.subgrids), info)


def lhapdf(path: Path, *, info: Path) -> dict[str, np.ndarray]:
    """A member of an LHAPDF set; a reader of data files.

    path: the member's .dat; info: the set's .info. Arrays: pids (flavour,), the gluon being 21; for
    each subgrid, numbered from 0 by rising Q, x_0 (x,), q_0 (q,) in GeV and xf_0 (x, q, flavour),
    x f; where the set tabulates the coupling, alphas_q (knot,) in GeV and alphas (knot,), in which
    a threshold stands twice. Raises RefusedError as `read`.
    """
    files = SetFiles(info, path)
    member = read(files)
    arrays = {"pids": np.array(member.pids)}
    for number, subgrid in enumerate(member.subgrids):
        arrays |= {f"{name}_{number}": each for name, each in subgrid._asdict().items()}
    return arrays | metadata.alphas_table(member.info, files)
