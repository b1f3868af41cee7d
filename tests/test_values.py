"""Between modules go values with named fields; dictionaries of anything stay where JSON and the like are read."""

import re
from collections import Counter
from pathlib import Path

import anomaly_assets

PACKAGE = Path(anomaly_assets.__file__).parent
MOST = 40
"""Lines that may say it, in all of the package."""
LINES = {
    "adapters/dagster_home.py": 1,  # a YAML file
    "adapters/embedded_store.py": 1,  # what the server says of itself
    "adapters/seal.py": 1,  # a JSON object, told apart into what is known and what is not
    "assets/graph.py": 1,  # keywords of Dagster's decorator
    "assets/metadata.py": 2,  # metadata as Dagster takes it
    "assets/publishing.py": 2,
    "assets/scored_transactions.py": 1,
    "dagster_partitions.py": 4,
    "domain/detectors/base.py": 1,  # a detector's own settings, JSON scalars
    "domain/detectors/isolation_forest.py": 1,
    "domain/detectors/statistical.py": 1,
    "domain/identity.py": 1,  # a sealed JSON object, as it is read
    "reporting.py": 2,  # published rows whole, as a command prints them
    "resources/launchpad.py": 3,  # fields of the launchpad
    "resources/snowflake.py": 1,
    "settings/deployment.py": 1,  # fields and values that are to be validated
    "settings/detection.py": 2,
    "settings/reading.py": 3,  # files and variables, before they are validated
}
"""Files that may, and how many of their lines at most."""


def test_dictionaries_of_anything_stay_at_borders() -> None:
    """A line more elsewhere wants a dataclass; where JSON goes out it is a ``JsonObject``."""
    saying = Counter(
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"dict\[str, Any\]", line)
    )
    assert not saying - Counter(LINES)
    assert saying.total() <= MOST
