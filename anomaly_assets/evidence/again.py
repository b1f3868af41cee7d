"""Verdicts and models of a day made again, some wallets at a time: memory does not grow with the number of wallets."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from anomaly_assets.adapters.publication_log import FIRST_RELEASE, release_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.judging import JudgedShard, ScoringShard, genuine, judge_shard, places_of
from anomaly_assets.domain.model_codec import REFERENCE_BYTES
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.recipes import recipe_id
from anomaly_assets.domain.scoring import published_table
from anomaly_assets.domain.verdict import DetectorVerdict, assemble_verdict
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.case import Case, Key, of_wallets
from anomaly_assets.evidence.same import require_same

WALLETS_AT_ONCE = 128
"""Wallets whose models are in memory together, for each thread."""
PROGRESS_STEPS = 10
"""How often long work says how far it is."""

Listed = Mapping[Key, Mapping[str, Any]]


def kept_payloads(case: Case, model_ids: Iterable[str]) -> int:
    """How many of these models the archive keeps. Raises ``CorruptFile`` when a payload is not the model of its id."""
    kept = 0
    for pack in case.home.models.stream(case.day, model_ids):
        for model_id, payload in pack.items():
            if genuine(payload, model_id) is None:
                raise _forged(case, model_id)
        kept += len(pack)
    return kept


def scored_again(case: Case, wallets: Sequence[str] | None, say: Callable[[str], None]) -> pa.Table:
    """The published rows of these wallets (None: of all that have raw rows), judged anew by the day's models.

    Models come from the archive, else they are fitted from their recipes. Raises ``CorruptFile`` when one is not the
    listed one.
    """
    kept = of_wallets(case.home.lake.read(case.raw, "transactions"), "wallet_id", wallets)
    rows = to_wallet_rows(kept)
    listed = case.listed(rows.wallet_ids)
    ids = {
        detector.name: [listed.get((detector.name, wallet), {}).get("model_id") for wallet in rows.wallet_ids]
        for detector in case.detectors
    }
    parts: dict[str, list[tuple[np.ndarray, DetectorVerdict]]] = {name: [] for name in ids}
    shards = _shards(case, rows, {key: row for key, row in listed.items() if key[0] in ids})
    done, told = 0, _Told(f"{case.day}: judged by {{}} of {len(listed)} models", len(listed), say)
    for name, judged in case.compute.engine.map_work(_judge, shards):
        if judged.rejected:
            raise _forged(case, str(ids[name][judged.rejected[0]]))
        parts[name].append((places_of(rows, judged.wallets), judged.verdict))
        done += len(judged.wallets)
        told.at(done)
    verdicts = {d.name: assemble_verdict(d, rows.n_rows, parts[d.name]) for d in case.detectors}
    return published_table(case.detectors, kept, rows, case.window_table, verdicts, ids)


def _judge(shard: ScoringShard) -> tuple[str, JudgedShard]:
    return shard.detector.name, judge_shard(shard)


def _shards(case: Case, rows: WalletRows, listed: Listed) -> Iterator[ScoringShard]:
    place = {wallet: index for index, wallet in enumerate(rows.wallet_ids)}
    for payloads in _payloads(case, listed):
        for detector in case.detectors:
            keys = sorted((key for key in payloads if key[0] == detector.name), key=lambda key: place[key[1]])
            for begin in range(0, len(keys), WALLETS_AT_ONCE):
                chosen = keys[begin : begin + WALLETS_AT_ONCE]
                wallets = [place[wallet] for _, wallet in chosen]
                yield ScoringShard.of_payloads(
                    detector,
                    wallets,
                    rows.select(wallets),
                    [payloads[key] for key in chosen],
                    [listed[key]["model_id"] for key in chosen],
                    served=False,
                )


def _payloads(case: Case, listed: Listed) -> Iterator[dict[Key, bytes]]:
    """Payloads of all listed models: a pack of the archive at a time, then some fitted now at a time."""
    keys_of: dict[str, list[Key]] = defaultdict(list)
    for key, row in listed.items():
        keys_of[row["model_id"]].append(key)
    for pack in case.home.models.stream(case.day, list(keys_of)):
        yield {key: payload for model_id, payload in pack.items() for key in keys_of.pop(model_id)}
    waiting: dict[Key, bytes] = {}
    for key, fitted in case.fit([key for keys in keys_of.values() for key in keys]):
        case.require_listed(key, listed[key], fitted.model_id)
        waiting[key] = fitted.payload
        if len(waiting) >= WALLETS_AT_ONCE:
            yield waiting
            waiting = {}
    yield waiting


def require_recipes(case: Case, window: pa.Table, listed: Listed) -> None:
    """Raise ``CorruptFile`` unless exactly the eligible wallets of ``window`` have models, by its rows' recipes."""
    wanted = {
        (detector.name, row["wallet_id"]): (
            recipe_id(detector, row["wallet_id"], row["rows_digest"]),
            row["n_transactions"],
        )
        for detector in case.settings.detectors
        for row in window.to_pylist()
        if row[f"{detector.name}_eligible"]
    }
    found = {key: (row["recipe_id"], row["n_transactions"]) for key, row in listed.items()}
    if odd := sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)):
        detector, wallet = odd[0]
        raise CorruptFile(
            f"wallet_models of {case.day} lists for the {detector} model of {wallet!r}: {found.get(odd[0])}",
            expected=f"{wanted.get(odd[0])} (recipe and rows), as the pinned rows give it",
            remedy=f"materialize wallet_models for {case.day} again",
        )


def require_models(case: Case, listed: Listed, say: Callable[[str], None]) -> list[str]:
    """Raise ``CorruptFile`` unless fitting gives the listed models, numbers and sizes; what is worth knowing."""
    odd_sizes: dict[str, list[Key]] = defaultdict(list)
    sizes: dict[Key, int] = {}
    told = _Told(f"{case.day}: fitted {{}} of {len(listed)} models", len(listed), say)
    for done, (key, fitted) in enumerate(case.fit(list(listed)), start=1):
        row, what = listed[key], _what(key)
        require_same(what, row["model_id"], fitted.model_id)
        require_same(f"the numbers of {what}", row["summary"], fitted.summary)
        if row["n_bytes"] != len(fitted.payload):
            odd_sizes[fitted.model_id].append(key)
            sizes[key] = len(fitted.payload)
        told.at(done)
    # with other versions of libraries a model has a payload of another size: that of the kept one counts as well
    for pack in case.home.models.stream(case.day, list(odd_sizes)):
        for model_id, payload in pack.items():
            for key in odd_sizes.pop(model_id):
                require_same(f"the size of {_what(key)}", listed[key]["n_bytes"], len(payload))
    surplus = [listed[key]["n_bytes"] - sizes[key] for keys in odd_sizes.values() for key in keys]
    told_versions = surplus and release_of(case.home.log, case.models) == FIRST_RELEASE
    if not surplus or (told_versions and all(each in REFERENCE_BYTES for each in surplus)):
        return []
    return [f"{len(surplus)} payloads that are not kept any more come out in another size"]


def _what(key: Key) -> str:
    return f"the {key[0]} model of wallet {key[1]!r}"


def _forged(case: Case, model_id: str) -> CorruptFile:
    return CorruptFile(
        f"the archive's payload of model {model_id[:16]} is not that model",
        expected="bytes that decode to the model of that id",
        remedy=f"remove its pack and materialize wallet_models for {case.day} again",
    )


class _Told:
    """Says how far something is, a few times in all."""

    def __init__(self, text: str, total: int, say: Callable[[str], None]) -> None:
        self._text, self._total, self._say, self._last = text, total, say, 0

    def at(self, done: int) -> None:
        """``done`` of all are done."""
        if done - self._last >= self._total / PROGRESS_STEPS or done == self._total:
            self._last = done
            self._say(self._text.format(done))
