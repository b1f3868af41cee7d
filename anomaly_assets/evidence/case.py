"""One scored day with everything it was made from, as its seals pin it: the ground that all evidence stands on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.artifacts import given, read_artifacts
from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication_log import release_of
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import WindowReader, pin_window
from anomaly_assets.domain.artifacts import Tables
from anomaly_assets.domain.detectors import detector_of
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import CorruptFile, NeedsRelease, NotSealed
from anomaly_assets.domain.judging import archived_model
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.model_codec import decode
from anomaly_assets.domain.recipes import ListedModel, Recipe
from anomaly_assets.domain.running_state import RunningState, days_reached, hours_needed
from anomaly_assets.domain.scored_row import Provenance, ScoredRow
from anomaly_assets.domain.settings_record import RecordedDetector, SettingsRecord
from anomaly_assets.domain.training import Fitted, fit_models
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.window import manifest_of

Key = tuple[str, str]
"""Detector and wallet."""
FEW = 100
"""Models that are looked up in their packs; for more, whole packs are read."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def archived_models(
    home: Home, wanted: Mapping[date, AbstractSet[str]]
) -> tuple[Mapping[str, Model], Mapping[str, bytes]]:
    """Genuine models and payloads of ids by the day that lists them, as far as the archive holds them near it.

    Raises ``CorruptFile`` when a payload is stored that is not the model of its id.
    """
    payloads = _archived_payloads(home, wanted)
    listing = {model_id: day for day, model_ids in wanted.items() for model_id in model_ids}
    models = {model_id: archived_model(payloads[model_id], model_id, listing[model_id]) for model_id in payloads}
    return models, payloads


def _archived_payloads(home: Home, wanted: Mapping[date, AbstractSet[str]]) -> Mapping[str, bytes]:
    found: dict[str, bytes] = {}
    few = {day: model_ids for day, model_ids in wanted.items() if len(model_ids) <= FEW}
    for day in wanted.keys() - few.keys():
        found |= home.models.get(day, wanted[day])
    return found | (home.models.look_up(few) if few else {})


@dataclass(frozen=True)
class Case:
    """A scored day and its inputs, each in the revision the scores were made from.

    Parameters
    ----------
    home : where everything lies
    scored, raw, window, models : seals of the day
    compute : threads and memory for reading windows, and what fits and judges
    """

    home: Home
    scored: Seal
    raw: Seal
    window: Seal
    models: Seal
    compute: Compute

    @classmethod
    def of(cls, home: Home, day: date, *, revision: str | None = None, compute: Compute | None = None) -> "Case":
        """The case of the current scores of ``day`` (or those of ``revision``).

        Raises ``NotSealed`` when a link is missing, ``CorruptFile`` when a seal was changed.
        """
        lake = home.lake
        scored = lake.require(SCORED, day, revision)
        raw, window, models = (
            lake.require(asset, day, scored.inputs[key])
            for asset, key in ((RAW, "raw"), (WINDOW, "window"), (MODELS, "models"))
        )
        return cls(home, scored, raw, window, models, compute or Compute())

    @property
    def day(self) -> date:
        """The scored day."""
        return self.scored.day

    @cached_property
    def settings(self) -> SettingsRecord:
        """The settings the day was scored with, as they were recorded."""
        return recorded_settings(self.home, self.scored.settings_id or "")

    @cached_property
    def artifacts(self) -> Tables:
        """Population artifacts that the day's models were fitted with and judge with, by role."""
        return read_artifacts(self.home.lake, self.window, self.models)

    @cached_property
    def detectors(self) -> list[Detector]:
        """The detectors with these settings and the day's artifacts.

        Raises ``NeedsRelease`` when this release has not all of them, ``CorruptFile`` when an artifact is not there.
        """
        return [self.detector(recorded) for recorded in self.settings.detectors]

    def detector(self, recorded: RecordedDetector) -> Detector:
        """One detector of the day. Raises as :attr:`detectors`; ``NeedsRelease`` names the release that scored it."""
        try:
            return given(self.home.lake, detector_of(recorded), self.day, self.window, self.models)
        except NeedsRelease as error:
            release = release_of(self.home.log, self.scored)
            named = f"release {release}" if release else "the release"
            raise NeedsRelease(
                error.found, expected=f"{named} that scored {self.day}", remedy=f"needs {named} that scored the day"
            ) from None

    @cached_property
    def provenance(self) -> Provenance:
        """What the rows of the day were made from."""
        return Provenance(
            self.day,
            self.scored.revision,
            self.raw.revision,
            self.window.revision,
            self.models.revision,
            self.scored.inputs["manifest_id"],
            self.scored.settings_id,
        )

    @property
    def manifest(self) -> WindowManifest:
        """The pinned days of the training window."""
        return manifest_of(self.window)

    @cached_property
    def published(self) -> pa.Table:
        """The published rows of the day, verified against the seal."""
        return self.home.lake.read(self.scored, "scored")

    @cached_property
    def window_table(self) -> pa.Table:
        """``training_window`` of the day, a row a wallet."""
        return self.home.lake.read(self.window, "wallets")

    @cached_property
    def models_table(self) -> pa.Table:
        """``wallet_models`` of the day, a row a model."""
        return self.home.lake.read(self.models, "models")

    def row(self, tx_id: str) -> ScoredRow:
        """The published row of one transaction. Raises ``NotSealed`` when the day has none of this id."""
        return ScoredRow.of(self._row(tx_id).to_pylist()[0], self.settings.detectors, self.provenance)

    def wallet_of(self, tx_id: str) -> str:
        """The wallet of one transaction, also where the settings of the day are gone. Raises ``NotSealed`` likewise."""
        return str(self._row(tx_id).column("WALLET_ID")[0].as_py())

    def _row(self, tx_id: str) -> pa.Table:
        found = self.published.filter(pc.equal(self.published.column("TX_ID"), tx_id))
        if not found.num_rows:
            raise NotSealed(f"{tx_id!r} is not among the scored transactions of {self.day}")
        return found

    def listed(self, wallets: Sequence[str] | None) -> dict[Key, ListedModel]:
        """Rows of ``wallet_models`` by (detector, wallet), of these wallets, or of all.

        Raises ``CorruptFile`` when a wallet has two models of one detector.
        """
        rows = of_wallets(self.models_table, "wallet_id", wallets).to_pylist()
        listed = {(row["detector"], row["wallet_id"]): row for row in rows}
        if len(listed) < len(rows):
            (detector, wallet), count = Counter((row["detector"], row["wallet_id"]) for row in rows).most_common(1)[0]
            raise CorruptFile(
                f"wallet_models of {self.day} lists {count} {detector} models of wallet {wallet!r}",
                expected="one",
                remedy=f"materialize wallet_models for {self.day} again",
            )
        return listed

    @cached_property
    def _window(self) -> tuple[WalletRows, list[str]]:
        return WindowReader(self.home.lake, RAW, self.compute).rows_and_digests(self.manifest)

    @cached_property
    def days_before(self) -> Mapping[date, str | None]:
        """Raw days that detectors looked back on, in the revision that was used; None where there was none."""
        return {edge.day: edge.revision for edge in self.scored.edges if edge.asset == RAW and edge.day != self.day}

    def running_state(
        self, detectors: Sequence[Detector], wallet_ids: Sequence[str], *, or_current: bool = False
    ) -> RunningState:
        """What came before the day of these wallets, as far back as the detectors look; else nothing is read.

        With ``or_current`` a day that the scores do not name is read as it is now, for detectors that did not judge.
        Raises ``CorruptFile`` when the scores do not name a day that they look back on, or it is not what was sealed.
        """
        days = days_reached(self.day, hours_needed(detectors))
        named = self.days_before
        if or_current:
            named = {**pin_window(self.home.lake, RAW, self.day, days).revisions, **named}
        if unnamed := [day for day in days if day not in named]:
            raise CorruptFile(
                f"the scores of {self.day} do not name the raw day {unnamed[0]}",
                expected="every day that their detectors look back on, in its lineage",
                remedy=f"materialize {SCORED} for {self.day} again",
            )
        pinned = WindowManifest.pin(self.day, days, named.__getitem__)
        return WindowReader(self.home.lake, RAW, self.compute).before(pinned, wallet_ids)

    def is_remainder(self, seal: Seal, role: str) -> bool:
        """Whether an erasure took rows out of a file since it was sealed."""
        return seal.files[role].sha256 in self.home.lake.erased(seal.asset, seal.day).remainders

    def window_rows(self, wallets: Sequence[str] | None) -> tuple[WalletRows, dict[str, str]]:
        """Rows of the pinned window of these wallets (None: of all), as far as they have any, and each one's digest.

        Raises ``CorruptFile`` when a pinned day is not what was sealed, ``NotSealed`` when one is gone.
        """
        rows, digests = self._window
        if wallets is None:
            return rows, dict(zip(rows.wallet_ids, digests, strict=True))
        place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
        chosen = [place[wallet] for wallet in sorted(set(wallets), key=str.encode) if wallet in place]
        return rows.select(chosen), {rows.wallet_ids[index]: digests[index] for index in chosen}

    def history(self, wallet: str) -> WalletRows:
        """The wallet's rows of the pinned window; no wallet when it has none.

        They are read without most others' and believed when their digest is that of the sealed window. Otherwise all
        of the window is read, which says what is wrong: raises as :meth:`window_rows`.
        """
        sealed = of_wallets(self.window_table, "wallet_id", [wallet]).column("rows_digest").to_pylist()
        found = WindowReader(self.home.lake, RAW, self.compute).rows_of_wallet(self.manifest, wallet)
        if found is not None and (sealed == [found[1]] or not (sealed or found[0].n_rows)):
            return found[0]
        return self.window_rows([wallet])[0]

    def archived(self, model_ids: Sequence[str]) -> tuple[Mapping[str, Model], Mapping[str, bytes]]:
        """As :func:`archived_models` near the day."""
        return archived_models(self.home, {self.day: set(model_ids)})

    def models_of(self, wallets: Sequence[str]) -> dict[Key, Model]:
        """The models of these wallets by (detector, wallet): from the archive, else fitted from their recipes again.

        Raises ``CorruptFile`` when fitting gives another model than the listed one.
        """
        listed = self.listed(wallets)
        archived, _ = self.archived([row["model_id"] for row in listed.values()])
        found = {key: archived[row["model_id"]] for key, row in listed.items() if row["model_id"] in archived}
        if gone := [key for key in listed if key not in found]:
            for key, fitted in self.fit(gone):
                self.require_listed(key, listed[key]["model_id"], fitted.model_id)
                found[key] = decode(fitted.payload)
        return found

    def require_listed(self, key: Key, listed: str, fitted: str) -> None:
        """Raise ``CorruptFile`` unless the model that fitting gave has the id of the listed one."""
        if fitted != listed:
            raise CorruptFile(
                f"fitting the {key[0]} model of wallet {key[1]!r} again gives {fitted[:16]}",
                expected=f"the listed model {listed[:16]}",
                remedy=f"verify {self.day}: its raw days, its settings or its list of models were changed",
            )

    def fit(self, keys: Sequence[Key]) -> Iterator[tuple[Key, Fitted]]:
        """Models of (detector, wallet) pairs, fitted now on the pinned window. Nothing stored is used but raw days.

        They come as they are made, in an order that depends on the window alone, and few are in memory together.
        Raises ``CorruptFile`` when a wallet cannot be fitted, having too few rows or all alike.
        """
        if not keys:
            return
        rows, _ = self._window
        place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
        detectors = {detector.name: detector for detector in self.detectors}
        try:
            recipes = [Recipe(place[wallet], wallet, detectors[name], "", 0) for name, wallet in keys]
            for results in fit_models(self.compute.engine, rows, recipes, range(len(recipes))):
                for fitted in results:
                    yield keys[fitted.recipe], fitted
        except (KeyError, ValueError) as error:
            raise CorruptFile(
                f"a model of {self.day} cannot be fitted on the window it names: {error}",
                remedy=f"verify {self.day}: a model is listed for a wallet without enough history",
            ) from None


def of_wallets(table: pa.Table, column: str, wallets: Sequence[str] | None) -> pa.Table:
    """The rows of ``table`` of these wallets, or all."""
    if wallets is None:
        return table
    return table.filter(pc.is_in(table.column(column), pa.array(wallets, pa.string())))


def alone(row: ScoredRow) -> WalletRows:
    """A published row as the only row of its wallet, as detectors judge it."""
    moment = (row.completed_at - _EPOCH) // timedelta(microseconds=1)
    amounts = np.array([row.amount], dtype=np.float64)
    return WalletRows([row.wallet_id], np.array([0, 1]), np.array([moment], dtype=np.int64), amounts)
