"""The way in: a process of a package, opened; and what there is to say about it."""

from diffpipe.pipelines.physics.matrix_elements import points
from diffpipe.pipelines.physics.matrix_elements.madjax import probes
from diffpipe.pipelines.physics.matrix_elements.madjax.element import MadjaxElement, find
from diffpipe.pipelines.physics.matrix_elements.madjax.finding import Finding
from diffpipe.pipelines.physics.matrix_elements.madjax.package import load

PROBES = 4


def open_backend(spec: str, process: str) -> MadjaxElement:
    """A process, e.g. "e+ e- > mu+ mu-", of the package in a folder or of an importable name.

        element = open_backend("packages/ee_mumu", "e+ e- > mu+ mu-")
        values = element.squared({"MZ": 91.2}, momenta)

    RefusedError if madjax, the package or the process is not there, or cannot be trusted.
    """
    return find(load(spec), process)


def examine(element: MadjaxElement) -> tuple[Finding, ...]:
    """The findings of an element, gradients with respect to momenta evaluated, not believed.

    Takes the time to compile them: 3 to 30 s.
    """
    count = len(element.process.initial)
    masses = [float(mass) for mass in element.masses({})]
    momenta = points.sample(masses[:count], masses[count:], PROBES)
    return tuple(
        probes.evaluated(each, lambda p: element.squared({}, p), momenta)
        if each.name == probes.GRADIENTS
        else each
        for each in element.findings
    )
