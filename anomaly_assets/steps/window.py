"""training_window: pin the days before D, count and measure every wallet, say who is eligible."""

from collections.abc import Sequence
from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.failpoints import failpoint
from anomaly_assets.adapters.lake import PartitionWriter
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.adapters.windows import pin_window
from anomaly_assets.domain.artifacts import made_with_window, revision_of, roles_in
from anomaly_assets.domain.days import trailing_window
from anomaly_assets.domain.errors import Superseded
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.layouts import LAYOUTS
from anomaly_assets.domain.lineage import RAW, WINDOW, Edge
from anomaly_assets.domain.manifest import WindowManifest
from anomaly_assets.domain.predicates import eligibility, no_look_ahead, window_complete
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.domain.window import summarize_window
from anomaly_assets.settings import CheckSettings, Detection
from anomaly_assets.steps.run import Outcome, Run
from anomaly_assets.steps.settings_record import record_settings


def build_window(
    run: Run, detection: Detection, bounds: CheckSettings, day: date, *, first_day: date, max_missing_days: int
) -> Outcome:
    """Pin the window of ``day``, summarize it per wallet, check and seal it; allots the day's generation."""
    detectors = detection.detectors()
    with run.writing(run.home.lake, WINDOW, day) as writer:
        record_settings(run.home, detection)
        days = trailing_window(day, detection.window_days, first_day)
        manifest = pin_window(run.home.lake, RAW, day, days)
        rows, digests = run.read_window_and_digests(manifest)
        run.say(f"window [{days.first}, {day}): {rows.n_rows} rows of {rows.n_wallets} wallets")
        artifacts = made_with_window(detectors, rows, day)
        staged = writer.stage({"wallets": summarize_window(rows, digests, detectors), **artifacts})
        window = staged.read("wallets")
        verdicts = (
            window_complete(manifest, max_missing_days),
            no_look_ahead(manifest, window),
            *_eligibilities(detection, bounds, window),
        )
        require_still_missing(run, manifest, "window")
        revision = revision_of(window, [manifest.manifest_id, detection.fit_id], artifacts)
        seal, changed = writer.commit(
            staged,
            revision=revision,
            verdicts=verdicts,
            lineage=[Edge.to_settings(detection.settings_id)],
            inputs={"manifest": manifest.as_json(), "manifest_id": manifest.manifest_id},
            counts={"wallets": rows.n_wallets, "transactions": rows.n_rows, "missing_days": len(manifest.missing)},
            layout=LAYOUTS[WINDOW],
            settings_id=detection.settings_id,
            generation=_generation(writer, revision, detection.settings_id),
        )
        head = run.log(seal)
        failpoint(f"{WINDOW}.logged")
    return Outcome(seal, changed, verdicts, {"wallets": window}, window_figures(seal), head)


def window_figures(seal: Seal) -> JsonObject:
    """What is shown of a window."""
    return {
        **seal.counts,
        "days": len(manifest_of(seal).days),
        "manifest_id": seal.inputs["manifest_id"],
        "generation": seal.generation,
    }


def artifact_figures(seal: Seal) -> JsonObject:
    """What is shown of the population artifacts that a seal holds: of each the digest of its file."""
    return {f"{role}, file": seal.files[role].sha256 for role in roles_in(seal.files)}


def manifest_of(window: Seal) -> WindowManifest:
    """The manifest a window's seal pins."""
    return WindowManifest.from_json(window.inputs["manifest"])


def require_still_missing(run: Run, manifest: WindowManifest, made: str) -> None:
    """Raise ``Superseded`` when a day counted as missing arrived since: the log would say that it was left out.

    ``made`` is what is made over the pinned days, for people.
    """
    again = pin_window(run.home.lake, RAW, manifest.day, manifest.days)
    if arrived := sorted(set(manifest.missing) - set(again.missing)):
        raise Superseded(
            f"{RAW} of {arrived[0]} was published while the {made} of {manifest.day} was made without it",
            remedy="nothing was published; run again",
        )


def _generation(writer: PartitionWriter, revision: str, settings_id: str) -> int:
    """The same for equal content and settings, else one more than ever before: the order of one day's trainings."""
    newest = max(writer.history(), key=lambda seal: seal.generation or 0, default=None)
    if newest is None or newest.generation is None:
        return 1
    # a writer that was killed may have recorded this very seal without making it current
    same = (newest.revision, newest.settings_id) == (revision, settings_id)
    return newest.generation if same else newest.generation + 1


def _eligibilities(detection: Detection, bounds: CheckSettings, window: pa.Table) -> Sequence[Verdict]:
    return [
        eligibility(
            detector.name,
            window,
            min_wallets=bounds.min_eligible_wallets,
            min_transactions=bounds.min_eligible_transactions,
        )
        for detector in detection.detectors()
    ]
