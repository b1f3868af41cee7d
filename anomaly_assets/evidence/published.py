"""What is published of a day beside its rows: what the file says of itself, and the day's metrics."""

from anomaly_assets.domain.algorithms import flags_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import METRICS, SCORED, WINDOW
from anomaly_assets.domain.metrics import daily_metrics
from anomaly_assets.domain.published import with_provenance
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.same import require_same, require_same_rows
from anomaly_assets.steps.settings_record import recorded_settings

METRICS_NOTE = "the metrics count wallets that were erased: they are as they were sealed, and are not computed again"


def require_provenance(case: Case) -> None:
    """Raise ``CorruptFile`` unless the schema metadata of the published rows is that of the case."""
    settings_id, manifest_id = case.scored.settings_id or "", case.manifest.manifest_id
    wanted = with_provenance(
        case.published,
        day=case.day,
        manifest_id=manifest_id,
        settings_id=settings_id,
        layout=case.scored.layout,
        content_digest=case.scored.revision,  # what an erasure left has another one
    )
    due, found = wanted.schema.metadata, case.published.schema.metadata or {}
    for key in sorted(due.keys() | found.keys()):
        told, follows = (found.get(key, b"").decode(errors="replace"), due.get(key, b"").decode())
        require_same(f"{key.decode(errors='replace')} of the published file", told, follows)
    if not case.published.schema.equals(wanted.schema, check_metadata=True):
        raise CorruptFile(
            f"the metadata of the published file of {case.day} says something twice",
            expected="each key once",
            remedy="something was changed after it was published: restore it from a copy, or run the day again",
        )


def require_metrics(case: Case) -> list[str]:
    """Raise ``CorruptFile`` unless the day's current metrics follow from the scores they name; notes otherwise.

    Raises ``NotSealed`` or ``MissingFile`` when those scores, or their window, are not kept. A day without metrics is
    not measured yet.
    """
    lake = case.home.lake
    seal = lake.find(METRICS, case.day)
    if seal is None:
        return []
    metrics = lake.read(seal, "metrics")
    require_same("the revision", seal.revision, table_digest(metrics))
    scored = lake.require(SCORED, case.day, seal.inputs["scored"])
    require_same("the metrics' window", seal.inputs["window"], scored.inputs["window"])
    window = lake.require(WINDOW, case.day, scored.inputs["window"])
    current = scored.revision == case.scored.revision
    notes = [] if current else [f"the metrics are older than the scores: they measure revision {scored.revision[:16]}"]
    if any(lake.stored(of, role) != of.files[role] for of, role in ((scored, "scored"), (window, "wallets"))):
        return [*notes, METRICS_NOTE]
    rows = case.published if current else lake.read(scored, "scored")
    judging = recorded_settings(case.home, scored.settings_id or "").detectors
    again = daily_metrics(
        case.day, rows, lake.read(window, "wallets"), [each.name for each in judging], flags_of(judging)
    )
    require_same_rows(metrics, again)
    return notes
