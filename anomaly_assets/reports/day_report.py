"""One scored day as one file: figures, the days before, organisations, top flags, checks, runs and staleness."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from anomaly_assets.domain.day_figures import Counts
from anomaly_assets.domain.detectors.wording import amount_text, share_text
from anomaly_assets.domain.due_days import Freshness
from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.domain.verdicts import Verdict
from anomaly_assets.reports.page import (
    Html,
    badge,
    code,
    el,
    facts,
    foreign,
    join,
    link,
    listed,
    moment,
    page,
    section,
    table,
    words,
)
from anomaly_assets.reports.sparks import chart, spark_svg
from anomaly_assets.views.day_report import DayReport, usual_words

ORGANISATIONS_SHOWN = 50


def day_page(
    found: DayReport,
    *,
    scores: Freshness | None = None,
    dagster_address: str | None = None,
    written_at: datetime | None = None,
) -> str:
    """The page of a scored day, which loads nothing: equal for equal arguments.

    Parameters
    ----------
    scores : the newest scored day against the day that was due when the page was written; None: not told
    dagster_address : where Dagster's pages are, for links to runs and partitions; None: no links
    written_at : shown at the foot
    """
    body = [
        el("header", el("h1", f"Transactions of {found.day}"), *_lead(found), *_freshness(scores, written_at)),
        section("The day", _figures(found), _by_detector(found)),
        section(f"The last {len(found.history.days)} scored days", _charts(found)),
        *_not_judged(found),
        section("Organisations", *_organisations(found)),
        section("Flags that stand out most", *_flags(found)),
        section("Checks", *_checks(found)),
        section("Where it comes from", *_origin(found, dagster_address)),
    ]
    return page(f"Transactions of {found.day}", *body, written_at=written_at)


def _lead(found: DayReport) -> Iterator[Html]:
    totals = found.figures.total
    yield el(
        "p",
        f"{totals.n_flagged:,} of {totals.n_judged:,} judged transactions were flagged: "
        if totals.rate is not None
        else "No transaction was judged: ",
        f"{totals.rate:.2%}, " if totals.rate is not None else "",
        f"{usual_words(found)}.",
        class_="lead",
    )
    if found.stale:
        yield el("p", badge("stale", "doubtful"), " Not all of this day follows from what is current; see below.")
    if found.problems:
        yield el("p", badge("not all could be read", "bad"))
        yield listed(found.problems)


def _freshness(scores: Freshness | None, at: datetime | None) -> Iterator[Html]:
    """A page that is kept says of which moment this is."""
    if scores is None:
        return
    when = f" at {at:%Y-%m-%d %H:%M} UTC" if at else ""
    mark = [badge("day missing", "bad"), " "] if scores.is_overdue else []
    yield el("p", *mark, f"Scored up to {scores.newest}{when}; {scores.told}.")


def _figures(found: DayReport) -> Html:
    totals = found.figures.total
    figures = [
        ("transactions", f"{totals.n_rows:,}"),
        ("judged", f"{totals.n_judged:,}"),
        ("coverage", share_text(totals.coverage)),
        ("flagged", f"{totals.n_flagged:,}"),
        ("rate", share_text(totals.rate)),
    ]
    return el(
        "div",
        *(el("div", el("b", value), el("span", name), class_="figure") for name, value in figures),
        class_="figures",
    )


def _by_detector(found: DayReport) -> Html:
    rows = [(words(name), *_counts(counts)) for name, counts in found.figures.by_detector.items()]
    rows.append(("any of them", *_counts(found.figures.total)))
    return table(("detector", "judged", "coverage", "flagged", "rate"), rows, numbers=range(1, 5))


def _charts(found: DayReport) -> Html:
    days = found.history.days
    dates = [each.day for each in days]
    bands = [each.usual for each in days]
    coverage = [each.counts.coverage for each in days]
    rate = "rate of flags, over its usual range" if any(bands) else "rate of flags"
    charts = el(
        "div",
        chart("transactions", dates, [float(each.counts.n_rows) for each in days]),
        chart(rate, dates, [each.counts.rate for each in days], unit="{:.2%}", band=bands),
        chart("coverage, judged of all", dates, coverage, unit="{:.0%}", top=1.0),
        class_="charts",
    )
    told = "The last bar, which is darker, is this day."
    if any(bands):
        told += " A red one lies outside the usual range of the days before it, which is drawn behind it."
    return join(charts, el("p", told, class_="soft"))


def _not_judged(found: DayReport) -> list[Html]:
    if not found.not_judged:
        return []
    rows = [
        (words(status), words(detector), f"{count:,}", share_text(count / found.figures.total.n_rows))
        for detector, status, count in found.not_judged
    ]
    header = ("why not", "by", "transactions", "share")
    told = el("p", "Not judged is not normal: nothing is said of these.", class_="soft")
    return [section("Not judged", told, table(header, rows, numbers=(2, 3)))]


def _organisations(found: DayReport) -> Iterator[Html]:
    rows = [
        (
            el("span", "without organisation", class_="soft") if each.name is None else foreign(each.name),
            f"{each.counts.n_rows:,}",
            f"{each.counts.n_judged:,}",
            f"{each.counts.n_flagged:,}",
            share_text(each.counts.rate),
            spark_svg(each.rates),
        )
        for each in found.organisations[:ORGANISATIONS_SHOWN]
    ]
    header = ("organisation", "transactions", "judged", "flagged", "rate", "rate, day by day")
    yield table(header, rows, numbers=range(1, 5))
    more = len(found.organisations) - ORGANISATIONS_SHOWN
    if more > 0:
        yield el("p", f"And {more:,} more with no more flags than these.", class_="soft")


def _flags(found: DayReport) -> Iterator[Html]:
    if not found.figures.total.n_flagged:
        yield el("p", "Nothing was flagged.")
        return
    yield el(
        "p",
        f"{len(found.flags):,} of {found.figures.total.n_flagged:,}; each command shows what is behind a flag.",
        class_="soft",
    )
    rows = [
        (
            f"{flag.anomaly_score:.4f}",
            f"{flag.completed_at:%H:%M}",
            amount_text(flag.amount),
            join(
                el("div", el("b", foreign(flag.tx_id)), " wallet ", foreign(flag.wallet_id), _of(flag.org_name)),
                el("div", foreign(flag.reason)),
                el("div", code(command_for("trace", flag.tx_id))),
            ),
        )
        for flag in found.flags
    ]
    yield table(("score", "UTC", "amount", "transaction"), rows, numbers=(2,))


def _of(organisation: str | None) -> str:
    return "" if organisation is None else join(", organisation ", foreign(organisation))


def _checks(found: DayReport) -> Iterator[Html]:
    yield el("p", "What was said of each partition when it was sealed.", class_="soft")
    rows = [(_passed(said), asset, said.check, foreign(said.message)) for asset, said in found.checks]
    yield table(("", "asset", "check", "message"), rows)


def _passed(verdict: Verdict) -> Html:
    return badge("passed", "good") if verdict.passed else badge(verdict.severity, "bad")


def _origin(found: DayReport, address: str | None) -> Iterator[Html]:
    if found.stale:
        yield listed(join(badge("stale", "doubtful"), f" {each.asset}: {each.because}") for each in found.stale)
    else:
        yield el("p", badge("up to date", "good"), " Nothing of this day is stale.")
    rows: list[Sequence[str]] = []
    for asset, run in found.runs.items():
        if run is None:
            rows.append((asset, "", badge("not in the publication log", "doubtful")))
        elif address is None:
            rows.append((asset, moment(run.at), code(run.run_id)))
        else:
            base = address.rstrip("/")
            page_of = link(f"{base}{run.partition_page}", asset)
            rows.append((page_of, moment(run.at), link(f"{base}{run.run_page}", run.run_id)))
    if rows:
        yield table(("asset", "first published", "by run"), rows)
    head = "cannot be read" if found.head is None else code(found.head)
    pairs = [("revision of the scores", code(found.revision)), ("settings", code(found.settings_id or "unknown"))]
    yield facts([*pairs, ("head of the publication log", head)])


def _counts(found: Counts) -> tuple[str, ...]:
    return f"{found.n_judged:,}", share_text(found.coverage), f"{found.n_flagged:,}", share_text(found.rate)
