"""raw_transactions: extract a day, validate it at the border, seal it."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Protocol, runtime_checkable

import pyarrow as pa

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.home import Standing
from anomaly_assets.adapters.id_index import write_id_index
from anomaly_assets.adapters.parquet_bytes import table_to_bytes
from anomaly_assets.adapters.sources.base import TransactionSource
from anomaly_assets.domain.border import BorderRules, clean_delivery, give_back
from anomaly_assets.domain.days import DayRange, require_finished
from anomaly_assets.domain.errors import OutsideCoverage, SourceUnavailable
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import RAW, Edge
from anomaly_assets.domain.predicates import ledger_balances, schema, unique_transaction_ids
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.steps.move_source import move_source
from anomaly_assets.steps.run import Outcome, Run


@runtime_checkable
class HasTruth(Protocol):
    """A source that knows which transactions it planted as anomalies."""

    def truth(self, day: date) -> pa.Table:
        """Planted transactions of ``day``: tx_id, wallet_id, kind."""
        ...


def claim_home(run: Run, source: TransactionSource, first_day: date) -> None:
    """Bind the run's home to ``source`` and ``first_day``, or refuse.

    A source that may have moved together with its home is that of the home when sealed days are the same there.

    Raises ``OutsideCoverage`` when ``first_day`` lies before what the source covers and ``HomeMismatch`` when the home
    belongs to another source.
    """
    # only once: a source may forget its oldest days later
    if run.home.record() is None and first_day < (first_covered := source.coverage().first):
        raise OutsideCoverage(
            f"first_day is {first_day}",
            expected=f"a day the source covers, {first_covered} or later",
            remedy=f"set first_day: {first_covered} in anomaly.yaml",
        )
    if run.home.standing(source.identity, first_day) is Standing.ALIKE:
        move_source(run, source, first_day)
    run.home.claim(source.identity, first_day)


def ingest_day(
    run: Run, source: TransactionSource, rules: BorderRules, day: date, *, known_at: datetime | None = None
) -> Outcome:
    """Extract, validate, de-duplicate, sort, check and seal one raw day.

    Raises ``NotFinished`` while the day is not over, besides what the source, the border and the lake raise.
    """
    require_finished(day, run.today)
    days = DayRange.of(day)
    with run.writing(run.home.lake, RAW, day) as writer:
        probe = source.probe(days, known_at=known_at)
        give_back()  # a source may have read a whole file for it
        clean = clean_delivery(source.batches(days, known_at=known_at), day, rules, erased=run.home.erasures.among)
        if clean.ledger.n_in != probe.n_rows and (now := source.probe(days, known_at=known_at)) != probe:
            raise SourceUnavailable(
                f"the rows of {day} changed while they were read: {probe.n_rows} became {now.n_rows}",
                remedy="run again when the day is loaded",
            )
        give_back()
        ledger, revision, wallets = asdict(clean.ledger), content_digest(clean.kept), wallet_days(clean.kept)
        staged = writer.stage({"transactions": clean.kept, "wallets": wallets, "quarantine": clean.quarantine})
        del clean  # the rows are read back now, and need not be held twice
        give_back()
        kept, quarantine = staged.read("transactions"), staged.read("quarantine")
        verdicts = (
            schema(kept),
            unique_transaction_ids(kept),
            ledger_balances(ledger, kept, quarantine, probe.n_rows),
        )
        give_back()
        seal, changed = writer.rest_of(staged, verdicts), False
        if seal is None:
            if not any(verdict.blocks for verdict in verdicts):  # before the seal: a sealed revision is always indexed
                write_id_index(run.home.lake.local_folder(RAW, day), revision, kept.column("tx_id"))
            inputs = {
                "source": run.home.bound_source(source.identity),
                "source_rows": probe.n_rows,
                "source_fingerprint": probe.fingerprint,
                "rules": rules.recorded(),
            }
            lineage = [Edge.to_rules(rules.recorded())]
            seal, changed = writer.commit(
                staged, revision=revision, verdicts=verdicts, lineage=lineage, inputs=inputs, counts=ledger
            )
        if isinstance(source, HasTruth):
            _write_truth(run, source, day)
        head = run.log(seal)
        failpoint(f"{RAW}.logged")
    numbers: JsonObject = {**ledger, "wallets": wallets.num_rows}
    return Outcome(seal, changed, verdicts, {"kept": kept, "quarantine": quarantine}, numbers, head)


def _write_truth(run: Run, source: HasTruth, day: date) -> None:
    """The planted anomalies lie apart from the transactions, for those who measure detectors."""
    truth = source.truth(day)
    gone = run.home.erasures.among(truth.column("wallet_id").combine_chunks())
    content = table_to_bytes(truth.filter(pa.array(~gone)), compression="zstd")
    write_atomically(run.home.truth / f"planted_anomalies_{day:%Y%m%d}.parquet", content, locked=True)
