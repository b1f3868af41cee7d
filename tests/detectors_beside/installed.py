"""The detectors of the tests' own, as if their packages were installed."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anomaly_assets.domain import algorithms, detectors
from anomaly_assets.settings import detector_sections

VELOCITY = Path(__file__).parent / "velocity" / "installed"
"""Folder of the metadata of velocity's package, for the path that Python looks for packages on."""
PATH = os.pathsep.join(filter(None, [str(VELOCITY), str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH")]))
"""``PYTHONPATH`` of a process in which it is installed."""
REGISTRIES = (algorithms.ALGORITHMS, detector_sections.DETECTOR_SECTIONS, detectors.DETECTORS)


@contextmanager
def as_before() -> Iterator[None]:
    """What is registered meanwhile is not there afterwards."""
    before = [dict(registry) for registry in REGISTRIES]
    try:
        yield
    finally:
        for registry, entries in zip(REGISTRIES, before, strict=True):
            registry.clear()  # type: ignore[attr-defined]
            registry.update(entries)  # type: ignore[attr-defined]


@contextmanager
def velocity_installed() -> Iterator[None]:
    """Settings that are loaded meanwhile may list velocity."""
    with as_before():
        sys.path.insert(0, str(VELOCITY))
        try:
            yield
        finally:
            sys.path.remove(str(VELOCITY))
