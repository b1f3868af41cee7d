"""Everything behind one transaction: its verdict, its models, their training data, the runs, and what changed since."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date

import pyarrow.compute as pc

from anomaly_assets.adapters.artifacts import read_artifacts
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication_log import FIRST_RELEASE, LogEntry
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.artifacts import of_detector
from anomaly_assets.domain.detectors.base import Model
from anomaly_assets.domain.errors import CorruptFile, Erased, NeedsRelease, NotSealed
from anomaly_assets.domain.identity import file_digest
from anomaly_assets.domain.lineage import MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.page_links import partition_page
from anomaly_assets.domain.recipes import ListedModel
from anomaly_assets.domain.scored_row import ScoredRow
from anomaly_assets.domain.settings_record import RecordedDetector
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.case import Case, Key
from anomaly_assets.evidence.erasures import erasure_sentences
from anomaly_assets.evidence.lookup import Place, require_places_of
from anomaly_assets.evidence.one_row import judge_row
from anomaly_assets.evidence.since import since
from anomaly_assets.evidence.traced import (
    LoggedRun,
    PublishedFile,
    SealedFile,
    Trace,
    TracedDay,
    TracedDetector,
    TracedFiles,
    TracedModel,
    TracedWallet,
    TracedWindow,
    UnscoredDay,
)
from anomaly_assets.settings import Detection


def trace(
    home: Home,
    tx_id: str,
    *,
    day: date | None = None,
    revision: str | None = None,
    configured: Detection | None = None,
    key_prefix: str = "",
) -> Trace:
    """What is known of a transaction, on every day that holds its id or held it (or on ``day``).

    Parameters
    ----------
    revision : an older revision of the scores of the day, by its digest, instead of the current one
    configured : the deployment's settings now, to say whether the scores were made with others
    key_prefix : of the deployment's assets in Dagster, for the paths of their pages

    Raises ``NotSealed`` when no day holds the id (in that revision), ``CorruptFile`` when something that is needed was
    changed.
    """
    places = require_places_of(home, tx_id, day)
    if revision is not None:
        return Trace(tx_id, [_in_revision(home, tx_id, places, revision, configured, key_prefix)])
    return Trace(tx_id, [_on_day(home, tx_id, place, configured, key_prefix) for place in places])


def trace_or_why_not(
    home: Home, tx_id: str, *, day: date | None = None, configured: Detection | None = None, key_prefix: str = ""
) -> Trace:
    """Like :func:`trace`; of what cannot be traced (erased, damaged, not there), no days and why not."""
    try:
        return trace(home, tx_id, day=day, configured=configured, key_prefix=key_prefix)
    except Erased as error:
        return Trace(tx_id, (), str(error), tuple(erasure_sentences(home, tx_id)))
    except (CorruptFile, NotSealed) as error:
        return Trace(tx_id, (), str(error))


def _in_revision(
    home: Home, tx_id: str, places: Sequence[Place], revision: str, configured: Detection | None, key_prefix: str
) -> TracedDay:
    for place in places:
        if revision in home.lake.revisions(SCORED, place.day):
            return _scored(Case.of(home, place.day, revision=revision), tx_id, place, configured, key_prefix)
    raise NotSealed(
        f"no scores of revision {revision} of {', '.join(str(place.day) for place in places)}",
        expected="the digest of a revision of the scores of a day that holds the id, 64 characters",
        remedy="see the pages of scored_transactions in Dagster, or the publication log, for the revisions of a day",
    )


def _on_day(
    home: Home, tx_id: str, place: Place, configured: Detection | None, key_prefix: str
) -> TracedDay | UnscoredDay:
    if place.in_scores is not False:  # scores that cannot be read are an error, and not an answer
        return _scored(Case.of(home, place.day), tx_id, place, configured, key_prefix)
    detect = f"run detect_anomalies for {place.day}"
    scores = _scores_made_from(home, place)
    if not place.in_raw:
        remedy = "a correction of the raw day removed it"
        remedy += f"; scores that hold it: trace it with --day {place.day} --revision {scores[0]}" if scores else ""
    else:  # scores that do not hold it are those of the day before it was corrected
        remedy = f"{detect} again" if home.lake.find(SCORED, place.day) else detect
    return UnscoredDay(place, scores, remedy)


def _scores_made_from(home: Home, place: Place) -> tuple[str, ...]:
    """Revisions of the day's scores that were made from a raw revision that holds the id and is not current."""
    found = []
    for revision in home.lake.revisions(SCORED, place.day):
        with suppress(CorruptFile, NotSealed):
            seal = home.lake.find(SCORED, place.day, revision)
            if seal is not None and seal.inputs["raw"] in place.earlier_raw:
                found.append(revision)
    return tuple(found)


def _scored(case: Case, tx_id: str, place: Place, configured: Detection | None, key_prefix: str) -> TracedDay:
    row = case.row(tx_id)
    seals = {"scored": case.scored, "trained": case.models, "window": case.window, "raw": case.raw}
    return TracedDay(
        place,
        row,
        _detectors(case, row),
        _window(case, row.wallet_id),
        case.settings,
        _files(case),
        runs_of(case.home, seals, key_prefix=key_prefix),
        since(case, configured),
        dict(sorted(case.days_before.items())),
    )


def _detectors(case: Case, row: ScoredRow) -> list[TracedDetector]:
    listed = case.listed([row.wallet_id])
    archived, _ = case.archived([model["model_id"] for model in listed.values()])
    return [_detector(case, detector, row, listed, archived) for detector in case.settings.detectors]


def _detector(
    case: Case,
    detector: RecordedDetector,
    row: ScoredRow,
    listed: Mapping[Key, ListedModel],
    archived: Mapping[str, Model],
) -> TracedDetector:
    name = detector.name
    result = row.results[name]
    told = TracedDetector(name, result.status, result.flagged, result.score)
    record, model_id = listed.get((name, row.wallet_id)), result.model_id
    if record is None or model_id is None:
        return told
    model, artifacts = archived.get(model_id), dict[str, str]()
    try:
        tables = of_detector(read_artifacts(case.home.lake, case.window, case.models, detector=name), name)
        artifacts = {key: table_digest(table) for key, table in tables.items()}
    except CorruptFile as error:  # others are traced all the same
        told = replace(told, missing=error.found)
    try:
        if model is not None and told.missing is None:
            judgement = judge_row(case, [case.detector(detector)], row, {name: model})[name]
            told = replace(told, flag_line=float(judgement.flag_line[0]), typical=float(judgement.typical[0]))
    except NeedsRelease as error:
        told = replace(told, missing=error.remedy)
    judged_by = TracedModel(
        model_id,
        model is not None,
        record["recipe_id"],
        record["n_transactions"],
        record["n_bytes"],
        record["summary"],
        detector.fit_parameters,
        artifacts,
    )
    return replace(told, model=judged_by)


def _window(case: Case, wallet: str) -> TracedWindow:
    manifest, table = case.manifest, case.window_table
    of_wallet = next(iter(table.filter(pc.equal(table.column("wallet_id"), wallet)).to_pylist()), None)
    return TracedWindow(
        manifest.days.first,
        manifest.days.end,
        len(manifest.present),
        tuple(manifest.missing),
        manifest.manifest_id,
        case.window.revision,
        case.window.generation,
        of_wallet
        and TracedWallet(
            of_wallet["n_transactions"], of_wallet["first_at"], of_wallet["last_at"], of_wallet["rows_digest"]
        ),
    )


def _files(case: Case) -> TracedFiles:
    published = case.home.published_path(case.day)
    in_place = False
    with suppress(FileNotFoundError):
        in_place = file_digest(published.read_bytes()) == case.home.lake.stored(case.scored, "scored").sha256
    named = {
        SCORED: (case.scored, "scored"),
        MODELS: (case.models, "models"),
        WINDOW: (case.window, "wallets"),
        RAW: (case.raw, "transactions"),
    }
    stored = {asset: (seal, case.home.lake.stored(seal, role)) for asset, (seal, role) in named.items()}
    return TracedFiles(
        PublishedFile(published.name, in_place),
        {
            asset: SealedFile(f"{seal.asset}/{seal.day}/{file.name}", file.sha256)
            for asset, (seal, file) in stored.items()
        },
    )


def runs_of(home: Home, seals: Mapping[str, Seal], *, key_prefix: str) -> dict[str, LoggedRun | None]:
    """The run that first published each of these, as the publication log has it, and how often it was confirmed."""
    ids = {seal.seal_id: name for name, seal in seals.items()}
    runs: dict[str, LoggedRun | None] = dict.fromkeys(seals)
    for entry in home.log.mentioning(ids.keys()):
        name = ids.get(entry.get("seal_id", ""))
        if name is None:
            continue
        first = runs[name]
        runs[name] = _logged(entry, key_prefix) if first is None else first.again()
    return runs


def _logged(entry: LogEntry, key_prefix: str) -> LoggedRun:
    return LoggedRun(
        entry["run_id"],
        entry["at"],
        entry["hash"],
        entry.get("release", FIRST_RELEASE),
        f"/runs/{entry['run_id']}",
        partition_page(entry["asset"], date.fromisoformat(entry["day"]), key_prefix=key_prefix),
    )
