"""What a family lets commands ask about what it judged: where it is, what is behind it, whether it can be proved."""

from collections.abc import Callable, Collection, Sequence
from datetime import date
from typing import Protocol

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.model_reference import ModelReference
from anomaly_assets.evidence.proof import Proof
from anomaly_assets.settings import Settings


class Traced(Protocol):
    """What is behind a judgement."""

    @property
    def models(self) -> Sequence[ModelReference]:
        """The models that judged it, on whichever day."""

    def as_json(self) -> JsonObject:
        """JSON form."""


class ProvesDays(Protocol):
    """Proves days of one home; what days share is examined once."""

    def verify(self, day: date, tx_ids: Collection[str] | None = None, *, revision: str | None = None) -> Proof:
        """Prove what is current of ``day`` (or a ``revision``): these judgements, or all."""


class FamilyCase(Protocol):
    """The case of a family. Judgements go by the id of the transaction."""

    def days_of(self, home: Home, tx_id: str) -> Sequence[date]:
        """Days to prove for an id, ascending: those that hold it, or held it before it was erased.

        Raises ``NotSealed`` when there are none, ``CorruptFile``.
        """

    def trace(self, home: Home, tx_id: str, *, day: date | None, revision: str | None, settings: Settings) -> Traced:
        """Everything behind a judgement. Raises ``NotSealed``, ``CorruptFile``."""

    def verifier(
        self, home: Home, *, head: str | None, compute: Compute, say: Callable[[str], None] | None
    ) -> ProvesDays:
        """Proves its days; parameters as those of :class:`anomaly_assets.evidence.verify.Verifier`."""
