"""One scored day with everything it was made from, as its seals pin it: the ground that all evidence stands on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import WindowReader
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.judging import genuine
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.settings import Detection
from anomaly_assets.steps.run import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.steps.window import manifest_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    """A scored day and its inputs, each in the revision the scores were made from.

    Parameters
    ----------
    home : where everything lies
    scored, raw, window, models : seals of the day
    compute : threads and memory for reading windows
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
    def detection(self) -> Detection:
        """The settings the day was scored with."""
        return recorded_settings(self.home, self.scored.settings_id or "")

    @cached_property
    def detectors(self) -> list[Detector]:
        """The detectors with these settings."""
        return self.detection.detectors()

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

    def row(self, tx_id: str) -> dict[str, Any]:
        """The published row of one transaction. Raises ``NotSealed`` when the day has none of this id."""
        found = self.published.filter(pc.equal(self.published.column("TX_ID"), tx_id)).to_pylist()
        if not found:
            raise NotSealed(f"{tx_id!r} is not among the scored transactions of {self.day}")
        row: dict[str, Any] = found[0]
        return row

    def listed(self, wallets: Sequence[str]) -> dict[tuple[str, str], dict[str, Any]]:
        """Rows of ``wallet_models`` by (detector, wallet), of these wallets."""
        wanted = pa.array(sorted(set(wallets)), pa.string())
        rows = self.models_table.filter(pc.is_in(self.models_table.column("wallet_id"), wanted)).to_pylist()
        return {(row["detector"], row["wallet_id"]): row for row in rows}

    def window_rows(self, wallets: Sequence[str]) -> tuple[WalletRows, dict[str, str]]:
        """Rows of the pinned window of these wallets, as far as they have any, and the digest of each one's rows.

        Raises ``CorruptFile`` when a pinned day is not what was sealed, ``NotSealed`` when one is gone.
        """
        rows, digests = WindowReader(self.home.lake, RAW, self.compute).rows_and_digests(self.manifest)
        place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
        chosen = [place[wallet] for wallet in sorted(set(wallets), key=str.encode) if wallet in place]
        return rows.select(chosen), {rows.wallet_ids[index]: digests[index] for index in chosen}

    def archived(self, model_ids: Sequence[str]) -> tuple[Mapping[str, Model], Mapping[str, bytes]]:
        """Genuine models and payloads of these ids, as far as the archive holds them.

        Raises ``CorruptFile`` when a payload is stored that is not the model of its id.
        """
        payloads = self.home.models.get(self.day, model_ids)
        models = {model_id: genuine(payload, model_id) for model_id, payload in payloads.items()}
        if forged := sorted(model_id for model_id, model in models.items() if model is None):
            raise CorruptFile(
                f"the archive's payload of model {forged[0][:16]} is not that model",
                expected="bytes that decode to the model of that id",
                remedy=f"remove its pack and materialize wallet_models for {self.day} again",
            )
        return {model_id: model for model_id, model in models.items() if model is not None}, payloads

    def models_of(self, wallets: Sequence[str]) -> dict[tuple[str, str], Model]:
        """The models of these wallets by (detector, wallet): from the archive, else fitted from their recipes again.

        Raises ``CorruptFile`` when fitting gives another model than the listed one.
        """
        listed = self.listed(wallets)
        archived, _ = self.archived([row["model_id"] for row in listed.values()])
        found = {key: archived[row["model_id"]] for key, row in listed.items() if row["model_id"] in archived}
        if gone := [key for key in listed if key not in found]:
            fitted = self.fitted(gone)
            for key in gone:
                if fitted[key].model_id != listed[key]["model_id"]:
                    raise CorruptFile(
                        f"fitting the {key[0]} model of wallet {key[1]!r} again gives {fitted[key].model_id[:16]}",
                        expected=f"the listed model {listed[key]['model_id'][:16]}",
                        remedy=f"verify {self.day}: its raw days, its settings or its list of models were changed",
                    )
            found |= fitted
        return found

    def fitted(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Model]:
        """Models of (detector, wallet) pairs, fitted now on the pinned window. Nothing stored is used but raw days.

        Raises ``CorruptFile`` when a wallet cannot be fitted, having too few rows or all alike.
        """
        rows, _ = self.window_rows([wallet for _, wallet in keys])
        place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
        models: dict[tuple[str, str], Model] = {}
        for detector in self.detectors:
            wallets = [wallet for name, wallet in keys if name == detector.name]
            try:
                fitted = detector.fit(rows, [place[wallet] for wallet in wallets])
            except (KeyError, ValueError) as error:
                raise CorruptFile(
                    f"a {detector.name} model of {self.day} cannot be fitted on the window it names: {error}",
                    remedy=f"verify {self.day}: a model is listed for a wallet without enough history",
                ) from None
            models |= dict(zip([(detector.name, wallet) for wallet in wallets], fitted, strict=True))
        return models


def alone(row: Mapping[str, Any]) -> WalletRows:
    """A published row as the only row of its wallet, as detectors judge it."""
    moment = (row["TX_COMPLETED_AT"] - _EPOCH) // timedelta(microseconds=1)
    amounts = np.array([row["TOTAL_AMOUNT"]], dtype=np.float64)
    return WalletRows([row["WALLET_ID"]], np.array([0, 1]), np.array([moment], dtype=np.int64), amounts)
