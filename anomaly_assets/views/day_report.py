"""One scored day for a report: its counts, the days before, organisations, top flags, checks, runs and staleness."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.seal import Seal
from anomaly_assets.domain.day_figures import MOST_STRIKING_FIRST, Figures
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.families import OURS
from anomaly_assets.domain.flagged_row import FlaggedRow
from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.evidence.lineage import Lineage
from anomaly_assets.evidence.stale import Stale, stale_of_day
from anomaly_assets.evidence.trace import runs_of
from anomaly_assets.evidence.traced import LoggedRun, runs_as_json
from anomaly_assets.settings import Detection
from anomaly_assets.views import usual
from anomaly_assets.views.day_history import DayCounts, History, Organisation, history
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import flags_of, judgements, not_judged, totals
from anomaly_assets.views.selection import Selection

_INPUTS = {RAW: "raw", WINDOW: "window", MODELS: "models"}
"""What scores are made from: asset to the key of its revision in their seal."""


@dataclass(frozen=True, eq=False)
class DayReport:
    """Everything a report of one day shows.

    Parameters
    ----------
    day, revision, settings_id : the scored day, which revision of it, and the settings it was scored with
    figures : counts of the day
    judgements : what each detector could say, as ``views.overview.judgements``
    history : the last up to 28 scored days, this one the last, and the organisations over them
    flags : those that stand out most, first ones first
    checks : what was said when the partitions that the scores are made from, and their own, were sealed: asset, verdict
    runs : run that first published each of these (see ``evidence.trace``); None where the log does not name it
    head : head of the publication log now; None when the log cannot be read
    stale : what of the day no longer follows from what is current
    problems : what could not be read, as sentences
    """

    day: date
    revision: str
    settings_id: str | None
    figures: Figures
    judgements: pa.Table
    history: History
    flags: tuple[FlaggedRow, ...]
    checks: tuple[tuple[str, Verdict], ...]
    runs: Mapping[str, LoggedRun | None]
    head: str | None
    stale: tuple[Stale, ...]
    problems: tuple[str, ...]

    @property
    def today(self) -> DayCounts:
        """The day itself in the history."""
        return self.history.days[-1]

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        """Organisations of the day, those with most flags first."""
        return self.history.organisations

    @property
    def not_judged(self) -> list[tuple[str, str, int]]:
        """Detector, why it did not judge, and how many rows; detectors in order, most rows first."""
        return [(row["detector"], row["status"], row["n_rows"]) for row in not_judged(self.judgements).to_pylist()]

    def as_json(self) -> JsonObject:
        """JSON form."""
        total = self.figures.total
        return {
            "day": self.day.isoformat(),
            "revision": self.revision,
            "settings_id": self.settings_id,
            "transactions": total.n_rows,
            "judged": total.n_judged,
            "flagged": total.n_flagged,
            "coverage": total.coverage,
            "rate": total.rate,
            "usual_rate": self.today.usual_for_programs,
            "detectors": {
                name: {"judged": counts.n_judged, "flagged": counts.n_flagged}
                for name, counts in self.figures.by_detector.items()
            },
            "not_judged": [
                {"detector": detector, "status": status, "transactions": count}
                for detector, status, count in self.not_judged
            ],
            "history": [each.as_json() for each in self.history.days],
            "organisations": [each.as_json() for each in self.organisations],
            "flags": [flag.as_json() for flag in self.flags],
            "checks": [
                {"asset": asset, **{name: getattr(said, name) for name in ("check", "passed", "severity", "message")}}
                for asset, said in self.checks
            ],
            "runs": runs_as_json(self.runs),
            "publication_log_head": self.head,
            "stale": [each.as_json() for each in self.stale],
            "problems": list(self.problems),
        }


def scored_day(digests: Digests, day: date | None) -> date:
    """``day``, or the newest scored one. Raises ``NotSealed`` when it is not scored, or none is."""
    days = digests.days()
    if not days:
        raise NotSealed(
            f"no day of {digests.home.root} is scored yet", remedy="score one: anomaly-assets backfill --from --to"
        )
    if day is not None and day not in days:
        raise NotSealed(
            f"{day} is not scored",
            expected=f"a scored day; there are {len(days)} from {days[0]} to {days[-1]}",
            remedy=f"run detect_anomalies for {day}, or anomaly-assets backfill --from {day} --to {day}",
        )
    return day or days[-1]


def day_report(digests: Digests, day: date, configured: Detection, *, n_flags: int, key_prefix: str = "") -> DayReport:
    """The report of a scored day.

    Parameters
    ----------
    configured : the deployment's settings now, to say what is stale
    n_flags : most flags that are shown
    key_prefix : of the deployment's assets in Dagster, for the paths of their pages

    Raises ``NotSealed`` or ``CorruptFile`` when the day's scores cannot be read; all else is told in ``problems``.
    """
    scored, figures = digests.scored(day), totals(digests, Selection((day,)))
    before, problems = history(digests, day)
    seals, missing = _seals(digests.home, scored.seal)
    flagged = flags_of(digests, Selection((day,))).sort_by(MOST_STRIKING_FIRST)
    runs, head, log_problems = _log(digests.home, seals, key_prefix)
    return DayReport(
        day=day,
        revision=scored.seal.revision,
        settings_id=scored.seal.settings_id,
        figures=figures,
        judgements=judgements(digests, Selection((day,))),
        history=before,
        flags=tuple(FlaggedRow.of(row, figures.by_detector) for row in flagged.slice(0, n_flags).to_pylist()),
        checks=tuple((asset, said) for asset, seal in seals.items() for said in seal.verdicts),
        runs=runs,
        head=head,
        stale=tuple(_stale(digests.home, day, configured)),
        problems=(*problems, *missing, *log_problems),
    )


def usual_words(report: DayReport) -> str:
    """How the day's rate compares with the days before, in words."""
    return usual.usual_words(report.figures.total.rate, report.today.usual)


def _seals(home: Home, scored: Seal) -> tuple[dict[str, Seal], list[str]]:
    """Seals of what the scores are made from, of their own and of the metrics; and what of these cannot be read."""
    wanted = {**{asset: scored.inputs[key] for asset, key in _INPUTS.items()}, SCORED: scored.revision}
    seals, problems = {}, []
    for asset, revision in wanted.items():
        try:
            seals[asset] = home.lake.require(asset, scored.day, revision)
        except (CorruptFile, NotSealed) as error:
            problems.append(error.found)
    try:
        metrics = home.lake.find(METRICS, scored.day)
        seals |= {METRICS: metrics} if metrics else {}
    except (CorruptFile, NotSealed) as error:
        problems.append(error.found)
    return seals, problems


def _log(
    home: Home, seals: Mapping[str, Seal], key_prefix: str
) -> tuple[dict[str, LoggedRun | None], str | None, list[str]]:
    try:
        return runs_of(home, seals, key_prefix=key_prefix), home.log.head(), []
    except CorruptFile as error:
        return {}, None, [error.found]


def _stale(home: Home, day: date, configured: Detection) -> list[Stale]:
    return stale_of_day(Lineage(home.lake, configured.settings_ids), day, OURS)
