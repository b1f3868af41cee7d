"""The case of detection, as commands ask it: by wallet and detector."""

from collections.abc import Callable, Sequence
from datetime import date

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.evidence.lookup import days_of, erased_days_of, require_days_of
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import Trace
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.settings import Settings


class DetectionCase:
    """See :class:`anomaly_assets.evidence.family_case.FamilyCase`."""

    def days_of(self, home: Home, tx_id: str) -> Sequence[date]:
        days = erased_days_of(home, tx_id) + days_of(home, tx_id) or require_days_of(home, tx_id)
        return sorted(set(days))

    def trace(self, home: Home, tx_id: str, *, day: date | None, revision: str | None, settings: Settings) -> Trace:
        configured, key_prefix = settings.detection, settings.dagster.key_prefix
        return trace(home, tx_id, day=day, revision=revision, configured=configured, key_prefix=key_prefix)

    def verifier(
        self, home: Home, *, head: str | None, compute: Compute, say: Callable[[str], None] | None
    ) -> Verifier:
        return Verifier(home, head=head, compute=compute, say=say)


CASE = DetectionCase()
