"""What ``dagster-restore`` reports of sealed days."""

from collections.abc import Iterator, Mapping
from typing import Any

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.dagster_partitions import Deployment, Partition, SealedDay, sealed_days
from anomaly_assets.steps.run import Outcome
from families.toy.definitions import described
from families.toy.family import JUDGEMENTS, MODEL, TOY


class ToyDay(SealedDay):
    def outcome(self) -> Outcome:
        return self.deployment.tables.of(self.seal, _outcome)

    def described(self, outcome: Outcome) -> Mapping[str, Any]:
        return described(self.deployment.graph, outcome)


def toy_days(deployment: Deployment) -> Iterator[Partition]:
    """The sealed days of both assets."""
    yield from sealed_days(deployment, TOY, {MODEL: ToyDay, JUDGEMENTS: ToyDay})


def _outcome(home: Home, seal: Seal) -> Outcome:
    (role,) = seal.files
    table = home.lake.read(seal, role)
    return Outcome(seal, False, seal.verdicts, {role: table}, {"rows": table.num_rows})
