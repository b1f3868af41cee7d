"""Which release this is, and with which libraries it computes: told in log lines, for people, never sealed."""

from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

import anomaly_assets

RELEASE = anomaly_assets.__version__
LIBRARIES: Mapping[str, str] = MappingProxyType({name: version(name) for name in ("numba", "numpy", "scikit-learn")})
"""Libraries whose results models depend on, as installed."""
