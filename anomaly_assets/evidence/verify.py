"""Proving a scored day, or some of its rows: intact, re-scored, re-trained.

- *intact*: every file is what its seal says, every digest follows from the content, the publication log names it all;
- *re-scored*: the day's models judge the day's rows again, and every published value is the same to the bit;
- *re-trained*: the pinned raw days give the same rows, recipes and window, and fitting them gives the same models.

Nothing but files is used: no Dagster, no store, no network.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from functools import partial

import pyarrow as pa

from anomaly_assets.adapters.artifacts import read_artifacts
from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.artifacts import revision_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.families import OURS, names_of
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.lineage import RAW
from anomaly_assets.domain.raw_day import content_digest, wallet_days
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.window import summarize_window
from anomaly_assets.evidence.again import (
    kept_payloads,
    require_artifacts,
    require_models,
    require_recipes,
    scored_again,
)
from anomaly_assets.evidence.case import Case, of_wallets
from anomaly_assets.evidence.checked_log import CheckedLog
from anomaly_assets.evidence.pinned import require_days_before, require_window
from anomaly_assets.evidence.proof import Grade, Outcome, Proof, Stop
from anomaly_assets.evidence.published import require_metrics, require_provenance
from anomaly_assets.evidence.remains import erasures_naming, require_content, require_not_erased, require_records
from anomaly_assets.evidence.same import require_same, require_same_rows


class Verifier:
    """Proves days of one home; what days share (raw days, the log) is examined once.

    Parameters
    ----------
    head : hash that the publication log must contain, kept elsewhere by whoever asks; None: the log vouches for itself
    compute : threads that fit and judge; what is found does not depend on them
    say : receives progress of whole days, one sentence at a time
    """

    def __init__(
        self,
        home: Home,
        *,
        head: str | None = None,
        compute: Compute | None = None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._home, self._compute, self._say = home, compute or Compute(), say or _say_nothing
        self._head = head
        self._log: CheckedLog | None = None
        self._raw_days: set[tuple[date, str]] = set()
        self._artifacts: dict[tuple[date, str, str], list[str]] = {}

    def verify(self, day: date, tx_ids: Collection[str] | None = None, *, revision: str | None = None) -> Proof:
        """Prove the current scores of ``day`` (or those of ``revision``): these transactions, or all."""
        proof = Proof(day, None if tx_ids is None else sorted(tx_ids))
        with suppress(Stop), proof.link(Grade.INTACT, "publication log"):
            self._log = self._log or CheckedLog(self._home.log)
            self._log.require(self._head)
        try:
            if self._home.erasures.root.exists() or (self._log and self._log.erased_wallets()):
                with proof.link(Grade.INTACT, "erased wallets"):
                    require_not_erased(self._home, self._log, day, tx_ids or ())
                    require_records(self._home, self._log)
            with proof.link(Grade.INTACT, "seals"):
                case = Case.of(self._home, day, revision=revision, compute=self._compute)
                self._seals(case, current=revision is None)
        except Stop:
            if self._log is not None and proof.outcome is Outcome.ERASED:
                proof.erasures = erasures_naming(self._home, self._log, day, tx_ids or ())
            return proof
        subject: _Subject | None = None
        with suppress(Stop):
            subject = self._intact(proof, case, tx_ids, current=revision is None)
            proof.examined.add(Grade.INTACT)
        for grade, examine in ((Grade.RE_SCORED, self._re_scored), (Grade.RE_TRAINED, self._re_trained)):
            with suppress(Stop):
                with proof.link(grade, "rows to prove"):
                    wanted = subject or _Subject.of(case, tx_ids)
                examine(proof, case, wanted)
                proof.examined.add(grade)
        return proof

    def _seals(self, case: Case, *, current: bool) -> None:
        """The seals of the day are readable, recorded in full, and named by the log."""
        for seal in (case.raw, case.window, case.models, case.scored):
            recorded = self._home.lake.folder(seal.asset, seal.day) / "seals" / "all" / f"{seal.seal_id}.json"
            if recorded.read_bytes() != seal.to_bytes():
                raise CorruptFile(f"{seal.asset}/{seal.day}/seals/all/{recorded.name} is not that seal")
            self._named(seal)
        if current:
            for asset in names_of(OURS):
                found = self._home.lake.find(asset, case.day)
                if found is not None:
                    self._named(found)

    def _named(self, seal: Seal) -> None:
        if self._log is not None and not self._log.names(seal):
            raise CorruptFile(
                f"the publication log does not name the seal {seal.seal_id[:16]} of {seal.asset} of {seal.day}",
                expected="an entry with its revision and the digests of its files",
                remedy="it was put there by something else than a run: restore the day from a copy, or run it again",
            )

    def _intact(self, proof: Proof, case: Case, tx_ids: Collection[str] | None, *, current: bool) -> "_Subject":
        with proof.link(Grade.INTACT, "scored_transactions"):
            self._content(proof, case.scored, "scored", case.published, lambda: table_digest(case.published))
            require_provenance(case)
            subject = _Subject.of(case, tx_ids)
        if current:
            with proof.link(Grade.INTACT, "published file"):
                path, stored = self._home.published_path(case.day), self._home.lake.stored(case.scored, "scored")
                require_same(path.name, stored.sha256, file_digest(path.read_bytes()))
        with proof.link(Grade.INTACT, "settings"):
            require_same("the fit settings", case.models.inputs["fit_id"], case.settings.fit_id)
        with proof.link(Grade.INTACT, "raw_transactions"):
            self._raw_day(proof, case.day, case.raw.revision)
        with proof.link(Grade.INTACT, "training_window"):
            manifest_id, fit_id = case.manifest.manifest_id, case.models.inputs["fit_id"]
            require_same("the manifest", case.window.inputs["manifest_id"], manifest_id)
            require_same("the models' manifest", case.models.inputs["manifest_id"], manifest_id)
            require_same("the scores' manifest", case.scored.inputs["manifest_id"], manifest_id)
            require_same("the window's day", case.window.day, case.manifest.day)
            proof.notes += require_window(case, self._log)
            artifacts = read_artifacts(self._home.lake, case.window)
            revision = partial(revision_of, case.window_table, [manifest_id, fit_id], artifacts)
            self._content(proof, case.window, "wallets", case.window_table, revision)
        with proof.link(Grade.INTACT, "wallet_models"):
            require_same("the models' window", case.models.inputs["window"], case.window.revision)
            artifacts = read_artifacts(self._home.lake, case.models)
            revision = partial(revision_of, case.models_table, [case.window.revision], artifacts)
            self._content(proof, case.models, "models", case.models_table, revision)
        with proof.link(Grade.INTACT, "raw days of the window"):
            for day, pinned in case.manifest.present:
                self._raw_day(proof, day, pinned)
        if case.days_before:
            with proof.link(Grade.INTACT, "raw days before the scores"):
                for day, revision_before in case.days_before.items():
                    if revision_before is not None:
                        self._raw_day(proof, day, revision_before)
                proof.notes += require_days_before(case, self._log)
        with proof.link(Grade.INTACT, "model payloads"):
            listed = {row["model_id"] for row in case.listed(subject.wallets).values()}
            if gone := len(listed) - kept_payloads(case, listed):
                proof.notes.append(f"{gone} of {len(listed)} payloads are not kept any more: fitted again")
        if current:
            with proof.link(Grade.INTACT, "anomaly_metrics"):
                proof.notes += require_metrics(case)
        return subject

    def _content(self, proof: Proof, seal: Seal, role: str, table: pa.Table, revision: Callable[[], str]) -> None:
        notes = require_content(self._home, self._log, seal, role, table, revision)
        proof.notes += [note for note in notes if note not in proof.notes]

    def _raw_day(self, proof: Proof, day: date, revision: str) -> None:
        """One revision of a raw day: sealed, named, whole, and its digests follow from its rows."""
        if (day, revision) in self._raw_days:
            return
        seal = self._home.lake.require(RAW, day, revision)
        self._named(seal)
        tables = {role: self._home.lake.read(seal, role) for role in seal.files}
        kept = tables["transactions"]
        self._content(proof, seal, "transactions", kept, lambda: content_digest(kept))
        for role in ("wallets", "quarantine"):  # their bytes are what was sealed, unless a wallet was erased
            self._content(proof, seal, role, tables[role], lambda: seal.revision)
        if not tables["wallets"].equals(wallet_days(kept)):
            raise CorruptFile(f"the digests by wallet of {RAW} of {day} do not follow from its rows")
        self._raw_days.add((day, revision))

    def _re_scored(self, proof: Proof, case: Case, subject: "_Subject") -> None:
        with proof.link(Grade.RE_SCORED, "verdicts"):
            require_same_rows(subject.published, scored_again(case, subject.wallets, subject.telling(self._say)))

    def _re_trained(self, proof: Proof, case: Case, subject: "_Subject") -> None:
        with proof.link(Grade.RE_TRAINED, "window"):
            rows, digests = case.window_rows(subject.wallets)
            again = summarize_window(rows, [digests[wallet] for wallet in rows.wallet_ids], case.detectors)
            require_same_rows(of_wallets(case.window_table, "wallet_id", subject.wallets), again)
        with proof.link(Grade.RE_TRAINED, "recipes"):
            listed = case.listed(subject.wallets)
            require_recipes(case, again, listed)
        with proof.link(Grade.RE_TRAINED, "models"):
            proof.notes += require_models(case, listed, subject.telling(self._say))
        if case.artifacts:
            with proof.link(Grade.RE_TRAINED, "population artifacts"):
                key = (case.day, case.window.revision, case.models.revision)
                if key not in self._artifacts:  # the same for every row of the day
                    self._artifacts[key] = require_artifacts(case, proven=subject.wallets is None)
                proof.notes += self._artifacts[key]


@dataclass(frozen=True)
class _Subject:
    """The wallets whose rows are proved (None: all of the day, its window and its models), and their published rows."""

    wallets: list[str] | None
    published: pa.Table

    @classmethod
    def of(cls, case: Case, tx_ids: Collection[str] | None) -> "_Subject":
        """Everything of the day, or the wallets of some transactions. Raises ``NotSealed`` when one is not scored."""
        if tx_ids is None:
            return cls(None, case.published)
        wallets = sorted({case.wallet_of(tx_id) for tx_id in tx_ids}, key=str.encode)
        return cls(wallets, of_wallets(case.published, "WALLET_ID", wallets))

    def telling(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """Who is told how far the work is; some transactions are little work."""
        return say if self.wallets is None else _say_nothing


def _say_nothing(_: str) -> None:
    pass
