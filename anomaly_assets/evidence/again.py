"""Verdicts and models of a day made again, some wallets at a time: memory does not grow with the number of wallets."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from anomaly_assets.adapters.publication_log import FIRST_RELEASE, release_of
from anomaly_assets.domain import judging
from anomaly_assets.domain.artifacts import (
    digests_of,
    given_tables,
    made_after_fits,
    made_with_window,
    recipe_artifacts,
    recipe_window_end,
    roles_in,
)
from anomaly_assets.domain.detectors.base import Detector, Model
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.judging import (
    JudgedShard,
    ModelBatch,
    ModelIds,
    ModelOf,
    Source,
    archived_model,
    batches_of,
    batches_of_packs,
    forged,
    judge_day,
)
from anomaly_assets.domain.lineage import MODELS, WINDOW
from anomaly_assets.domain.model_codec import REFERENCE_BYTES, decode
from anomaly_assets.domain.raw_day import to_wallet_rows
from anomaly_assets.domain.recipes import recipe_id
from anomaly_assets.domain.scoring import published_table
from anomaly_assets.domain.wallet_rows import WalletRows
from anomaly_assets.evidence.case import Case, Key, of_wallets
from anomaly_assets.evidence.same import require_same

PROGRESS_STEPS = 10
"""How often long work says how far it is."""

AS_SEALED = "a wallet was erased from what population artifacts were made of: those were taken as they were sealed"
Listed = Mapping[Key, Mapping[str, Any]]


def kept_payloads(case: Case, model_ids: Iterable[str]) -> int:
    """How many of these models the archive keeps. Raises ``CorruptFile`` when a payload is not the model of its id."""
    kept = 0
    for pack in case.home.models.stream(case.day, model_ids):
        for model_id, payload in pack.items():
            archived_model(payload, model_id, case.day)
        kept += len(pack)
    return kept


def scored_again(case: Case, wallets: Sequence[str] | None, say: Callable[[str], None]) -> pa.Table:
    """The published rows of these wallets (None: of all that have raw rows), judged anew by the day's models.

    Models come from the archive, else they are fitted from their recipes. Raises ``CorruptFile`` when one is not the
    listed one.
    """
    kept = of_wallets(case.home.lake.read(case.raw, "transactions"), "wallet_id", wallets)
    rows = to_wallet_rows(kept)
    model_ids = listed_ids(case, case.detectors, rows)
    total = sum(model_id is not None for ids in model_ids.values() for model_id in ids)
    done, told = 0, _Told(f"{case.day}: judged by {{}} of {total} models", total, say)

    def look_at(part: JudgedShard) -> None:
        nonlocal done
        require_genuine(case, model_ids, part)
        done += len(part.wallets)
        told.at(done)

    sources, before = sources_of(case, case.detectors, rows), case.running_state(case.detectors, rows.wallet_ids)
    engine = case.compute.engine
    judged = judge_day(case.detectors, rows, model_ids, sources, before=before, engine=engine, look_at=look_at)
    return published_table(case.detectors, kept, rows, case.window_table, judged.verdicts, model_ids)


def listed_ids(case: Case, detectors: Iterable[Detector], rows: WalletRows) -> ModelIds:
    """Per detector the id of the listed model of each wallet of ``rows``."""
    listed = {key: row["model_id"] for key, row in case.listed(rows.wallet_ids).items()}
    return {each.name: [listed.get((each.name, wallet)) for wallet in rows.wallet_ids] for each in detectors}


def sources_of(case: Case, detectors: Sequence[Detector], rows: WalletRows) -> list[Source]:
    """Where the listed models of the day come from: the archive, else their recipes, which are fitted again."""

    def archived(waiting: ModelIds) -> Iterator[ModelBatch]:
        return batches_of_packs(detectors, partial(case.home.models.stream, case.day), waiting, served=False)

    def fitted(waiting: ModelIds) -> Iterator[ModelBatch]:
        missing = {
            (name, rows.wallet_ids[wallet]): ModelOf(name, wallet)
            for name, ids in waiting.items()
            for wallet, model_id in enumerate(ids)
            if model_id is not None
        }
        payloads: dict[ModelOf, bytes] = {}
        for key, made in case.fit(list(missing)):
            of = missing[key]
            case.require_listed(key, str(waiting[of.detector][of.wallet]), made.model_id)
            payloads[of] = made.payload
            if len(payloads) >= judging.WALLETS_AT_ONCE:
                yield from batches_of(detectors, payloads, waiting, served=False)
                payloads = {}
        yield from batches_of(detectors, payloads, waiting, served=False)

    return [archived, fitted]


def require_genuine(case: Case, model_ids: ModelIds, part: JudgedShard) -> None:
    """Raise ``CorruptFile`` when the archive's payload of a model is not that model."""
    if part.rejected:
        raise forged(str(model_ids[part.detector][part.rejected[0]]), case.day)


def require_recipes(case: Case, window: pa.Table, listed: Listed) -> None:
    """Raise ``CorruptFile`` unless exactly the eligible wallets of ``window`` have models, by its rows' recipes."""
    wanted, rows = {}, window.to_pylist()
    for recorded, detector in zip(case.settings.detectors, case.detectors, strict=True):
        artifacts, window_end = recipe_artifacts(detector), recipe_window_end(detector)
        for row in rows:
            if row[f"{recorded.name}_eligible"]:
                named = recipe_id(recorded, row["wallet_id"], row["rows_digest"], artifacts, window_end)
                wanted[recorded.name, row["wallet_id"]] = named, row["n_transactions"]
    found = {key: (row["recipe_id"], row["n_transactions"]) for key, row in listed.items()}
    if odd := sorted(key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)):
        name, wallet = odd[0]
        raise CorruptFile(
            f"wallet_models of {case.day} lists for the {name} model of {wallet!r}: {found.get(odd[0])}",
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


def require_artifacts(case: Case, *, proven: bool) -> list[str]:
    """Raise ``CorruptFile`` unless the pinned rows give the day's population artifacts; what is worth knowing.

    What an erasure took something from cannot be made again as it was: of a window those made with it, of the models
    those made after the fits. All others are made again, of models that are fitted now.

    Parameters
    ----------
    proven : whether fitting was shown to give every listed model, so that an archived one need not be fitted again
    """
    if not case.artifacts:
        return []
    window = case.window_rows(None)[0]
    made_of = ((case.window, "wallets"), (case.models, "models"))
    erased = {seal.asset for seal, role in made_of if case.is_remainder(seal, role)}
    sealed, again = dict(case.artifacts), made_with_window(case.detectors, window, case.day)
    if WINDOW in erased:
        again = {role: sealed.get(role, table) for role, table in again.items()}
    given_now = [given_tables(detector, again, case.day) for detector in case.detectors]
    if MODELS in erased:
        again |= {role: sealed[role] for role in roles_in(case.models.files)}
    else:
        again |= made_after_fits(given_now, window, partial(_fitted_again, case, window, proven=proven))
    digests, made = digests_of(sealed), digests_of(again)
    for role in sorted(digests.keys() | made.keys()):
        require_same(f"the {role}", digests.get(role), made.get(role))
    return [AS_SEALED] if erased else []


def _fitted_again(
    case: Case, window: WalletRows, detector: Detector, wallets: Sequence[int], *, proven: bool
) -> Sequence[Model]:
    """The models of some wallets of the window; raises ``CorruptFile`` unless they are the listed ones."""
    keys = [(detector.name, window.wallet_ids[wallet]) for wallet in wallets]
    listed = case.listed([wallet for _, wallet in keys])
    if unlisted := [key for key in keys if key not in listed]:
        raise CorruptFile(
            f"wallet_models of {case.day} lists no {detector.name} model of wallet {unlisted[0][1]!r}",
            expected="one of every wallet that the detector can be fitted for",
            remedy=f"materialize wallet_models for {case.day} again",
        )
    ids = {key: listed[key]["model_id"] for key in keys}
    archived = case.archived(list(ids.values()))[0] if proven else {}
    models = {key: archived[model_id] for key, model_id in ids.items() if model_id in archived}
    for key, made in case.fit([key for key in keys if key not in models]):
        case.require_listed(key, ids[key], made.model_id)
        models[key] = decode(made.payload)
    return [models[key] for key in keys]


def _what(key: Key) -> str:
    return f"the {key[0]} model of wallet {key[1]!r}"


class _Told:
    """Says how far something is, a few times in all."""

    def __init__(self, text: str, total: int, say: Callable[[str], None]) -> None:
        self._text, self._total, self._say, self._last = text, total, say, 0

    def at(self, done: int) -> None:
        """``done`` of all are done."""
        if done - self._last >= self._total / PROGRESS_STEPS or done == self._total:
            self._last = done
            self._say(self._text.format(done))
