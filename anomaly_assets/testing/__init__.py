"""Suites that tests of this project and of packages beside it derive from. They need pytest."""

import pytest

# before the modules are imported: their assertions then say what they compared
pytest.register_assert_rewrite("anomaly_assets.testing.detector_contract")
