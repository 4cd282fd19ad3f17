"""The shipped pipelines, once per session: what they compute is kept."""

import pytest
from physics.composed import Composed


@pytest.fixture(scope="session")
def asymmetry_13tev():
    return Composed("drell_yan")


@pytest.fixture(scope="session")
def cross_section_8tev():
    return Composed("drell_yan_8tev")
