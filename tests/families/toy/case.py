"""The case of the family: what a judgement stands on, and whether it can be proved."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import RAW, Kind
from anomaly_assets.domain.model_reference import ModelReference
from anomaly_assets.domain.raw_day import content_digest
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.evidence.lookup import erased, erased_days_of
from anomaly_assets.evidence.proof import Grade, Proof, Stop
from anomaly_assets.evidence.remains import require_content, require_not_erased
from anomaly_assets.evidence.same import require_same, require_same_rows
from anomaly_assets.settings import Settings
from families.toy.family import JUDGEMENTS, MODEL, TOY
from families.toy.judging import fitted, judged

GIVEN = "a wallet was erased from the rows it was fitted on: the model is taken as it was sealed"


@dataclass(frozen=True)
class ToyDay:
    """A judged day and its inputs, each in the revision the judgements were made from."""

    home: Home
    judged: Seal
    model: Seal
    raw: Seal

    @classmethod
    def of(cls, home: Home, day: date, revision: str | None = None) -> "ToyDay":
        """Raises ``NotSealed`` when a link is missing, ``CorruptFile`` when a seal was changed."""
        sealed = home.lake.require(JUDGEMENTS, day, revision)
        edges = [edge for edge in sealed.edges if edge.kind is Kind.PARTITION]
        used = {edge.asset: home.lake.require(edge.asset, edge.day, edge.revision) for edge in edges}
        return cls(home, sealed, used[MODEL], used[RAW])

    def table(self, seal: Seal) -> pa.Table:
        """The table of one of them."""
        return self.home.lake.read(seal, {JUDGEMENTS: "judged", MODEL: "model", RAW: "transactions"}[seal.asset])

    def row(self, tx_id: str) -> dict[str, Any]:
        """One judgement. Raises ``NotSealed``."""
        table = self.table(self.judged)
        rows = table.filter(pc.equal(table.column("tx_id"), tx_id)).to_pylist()
        if not rows:
            raise NotSealed(f"{tx_id!r} is not among the judged transactions of {self.judged.day}")
        row: dict[str, Any] = rows[0]
        return row

    def models(self, tx_id: str) -> list[ModelReference]:
        """The model that judged it."""
        (model,) = self.table(self.model).to_pylist()
        assert self.row(tx_id)["model_id"] == model["model_id"]
        return [ModelReference(TOY.name, model["scope"], model["model_id"])]


@dataclass(frozen=True)
class ToyTrace:
    """What is behind a judgement: the days that made it."""

    tx_id: str
    days: Sequence[ToyDay]

    @property
    def models(self) -> Sequence[ModelReference]:
        """The model of each day."""
        return [model for day in self.days for model in day.models(self.tx_id)]

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {"tx_id": self.tx_id, "days": [self._on(day) for day in self.days]}

    def _on(self, day: ToyDay) -> JsonObject:
        models = [dict(vars(model)) for model in day.models(self.tx_id)]
        made_from = [edge.as_json() for edge in day.judged.edges if edge.kind is Kind.PARTITION]
        judgement = day.row(self.tx_id)
        return {"day": str(day.judged.day), "judgement": judgement, "models": models, "made_from": made_from}


class ToyCase:
    """See :class:`anomaly_assets.evidence.family_case.FamilyCase`."""

    def days_of(self, home: Home, tx_id: str) -> Sequence[date]:
        days = []
        for day in home.lake.days(JUDGEMENTS):
            with suppress(NotSealed):
                ToyDay.of(home, day).row(tx_id)
                days.append(day)
        if not days and not (days := erased_days_of(home, tx_id)):
            raise NotSealed(f"no day has judged {tx_id!r}", expected="an id of a judged day", remedy="check the id")
        return days

    def trace(self, home: Home, tx_id: str, *, day: date | None, revision: str | None, settings: Settings) -> ToyTrace:
        gone = erased_days_of(home, tx_id)
        if gone:
            raise erased(tx_id, gone)
        days = [day] if day else self.days_of(home, tx_id)
        return ToyTrace(tx_id, [ToyDay.of(home, when) for when in days])

    def verifier(
        self, home: Home, *, head: str | None, compute: Compute, say: Callable[[str], None] | None
    ) -> "ToyVerifier":
        return ToyVerifier(home, head)


CASE = ToyCase()


@dataclass(frozen=True)
class ToyVerifier:
    """Proves days; ``head`` is a hash that the publication log must contain."""

    home: Home
    head: str | None

    def verify(self, day: date, tx_ids: Collection[str] | None = None, *, revision: str | None = None) -> Proof:
        """Prove all judgements of a day, which are few; of an erased transaction, that it is gone."""
        proof = Proof(day, None if tx_ids is None else sorted(tx_ids))
        with suppress(Stop):
            with proof.link(Grade.INTACT, "publication log"):
                log = CheckedLog(self.home.log)
                log.require(self.head)
            with proof.link(Grade.INTACT, "erased wallets"):
                require_not_erased(self.home, log, day, tx_ids or ())
            with proof.link(Grade.INTACT, "seals"):
                case = ToyDay.of(self.home, day, revision)
                for seal in (case.raw, case.model, case.judged):
                    if not log.names(seal):
                        raise CorruptFile(f"the publication log does not name the seal of {seal.asset} of {day}")
            self._examine(proof, log, case)
        return proof

    def _examine(self, proof: Proof, log: CheckedLog, case: ToyDay) -> None:
        with proof.link(Grade.INTACT, "content"):
            kept, model, table = (case.table(seal) for seal in (case.raw, case.model, case.judged))
            for seal, role, rows, revision in (
                (case.raw, "transactions", kept, content_digest(kept)),
                (case.model, "model", model, table_digest(model)),
                (case.judged, "judged", table, table_digest(table)),
            ):
                notes = require_content(self.home, log, seal, role, rows, partial(str, revision))
                proof.notes += [note for note in notes if note not in proof.notes]
        proof.examined.add(Grade.INTACT)
        with proof.link(Grade.RE_SCORED, "judgements"):
            require_same_rows(table, judged(kept, model, case.judged.inputs["times"]))
        proof.examined.add(Grade.RE_SCORED)
        with proof.link(Grade.RE_TRAINED, "model"):
            if kept.num_rows == model.column("n_rows")[0].as_py():
                require_same("the model", model.to_pylist(), fitted(kept).to_pylist())
            else:
                proof.notes.append(GIVEN)
        proof.examined.add(Grade.RE_TRAINED)
