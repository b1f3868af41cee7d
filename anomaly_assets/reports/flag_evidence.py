"""What a verdict stands on, as parts of a transaction's page: window, runs, files, settings, and what changed since."""

from collections.abc import Iterator, Mapping, Sequence

from anomaly_assets.domain.identity import Json, JsonObject
from anomaly_assets.evidence.not_scored import why_not_scored
from anomaly_assets.evidence.since import since_words
from anomaly_assets.evidence.traced import LoggedRun, TracedDay, TracedWindow, UnscoredDay
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
    section,
    table,
)


def evidence_sections(day: TracedDay | UnscoredDay | None, dagster_address: str | None) -> list[Html]:
    """The evidence tree of a day of a trace; of a day that is not scored, only where the transaction is."""
    if day is None:
        return []
    if isinstance(day, UnscoredDay):
        return [section("Where it is", listed(_where(day)))]
    return [
        section("Training data", facts(_window(day.window))),
        *_looked_back(day),
        section("Runs", *_runs(day.runs, dagster_address)),
        section("Files", _files(day)),
        section("Settings it was scored with", facts(_settings(day.settings_as_json))),
        section("Since then", *_since(day)),
    ]


def other_days(days: Sequence[TracedDay | UnscoredDay]) -> list[Html]:
    """What other days hold a transaction of that id."""
    if not days:
        return []
    rows = []
    for day in days:
        if isinstance(day, UnscoredDay):
            rows.append((str(day.day), "not scored", why_not_scored(day)))
        else:
            rows.append((str(day.day), "scored", "flagged" if day.row.is_anomaly else "not flagged"))
    return [section("Other days that hold this id", table(("day", "", "verdict"), rows))]


def _where(day: TracedDay | UnscoredDay) -> Iterator[str]:
    place = day.place
    if place.in_raw is None:
        yield "the current raw day cannot be read"
    elif place.in_raw:
        yield "the current raw day holds it"
    else:
        earlier = join(*(join(" ", code(revision)) for revision in place.earlier_raw))
        yield join("the current raw day does not hold it; earlier revisions do:", earlier)
    if isinstance(day, UnscoredDay):
        for revision in day.earlier_scores:
            yield join("scores of an earlier revision hold it: ", code(revision))
    elif not place.in_scores:
        yield "the current scores of this day do not hold it"


def _window(window: TracedWindow) -> Iterator[tuple[str, str]]:
    yield "days", f"{window.first} up to, and without, {window.end}"
    missing = list(map(str, window.days_missing))
    yield (
        "pinned",
        f"{window.days_pinned} days" + (f"; missing: {', '.join(missing)}" if missing else ", none missing"),
    )
    wallet = window.wallet
    if wallet is None:
        yield "of this wallet", "no transaction"
    else:
        span = f"{moment(wallet.first_at.isoformat())} to {moment(wallet.last_at.isoformat())}"
        yield (
            "of this wallet",
            f"{wallet.n_transactions:,} transactions, {span}",
        )
        yield "digest of its rows", code(wallet.rows_digest)
    yield "manifest", code(window.manifest_id)
    yield "revision", code(window.revision)
    yield "generation", str(window.generation)


def _looked_back(day: TracedDay) -> Iterator[Html]:
    if day.looked_back:
        days = facts(
            (str(each), code(revision) if revision else "not there") for each, revision in day.looked_back.items()
        )
        yield section("Days looked back on", el("p", day.looked_back_words), days)


def _runs(runs: Mapping[str, LoggedRun | None], address: str | None) -> Iterator[str]:
    rows = []
    for name, run in runs.items():
        if run is None:
            rows.append((name, "", badge("not in the publication log", "doubtful"), "", ""))
            continue
        shown = code(run.run_id)
        pages = ""
        if address is not None:
            base = address.rstrip("/")
            pages = join(link(f"{base}{run.run_page}", "run"), " · ", link(f"{base}{run.partition_page}", "partition"))
        again = f"{run.confirmed_again:,} times" if run.confirmed_again else "never"
        rows.append((name, moment(run.at), shown, again, pages))
    yield table(("what", "published at", "by run", "the same again", "in Dagster"), rows)
    yield el("h3", "Entries of the publication log")
    yield facts((name, code(run.log_entry)) for name, run in runs.items() if run is not None)


def _files(day: TracedDay) -> Html:
    published = day.files.published
    state = "these scores, byte for byte" if published.is_these_scores else "not these scores"
    tone = "good" if published.is_these_scores else "doubtful"
    rows = [
        ("published", published.file, badge(state, tone)),
        *((asset, foreign(file.file), code(file.sha256)) for asset, file in day.files.sealed.items()),
    ]
    digests = [
        ("revision of the scores", code(day.revision)),
        ("revision of the raw day", code(day.row.provenance.raw)),
    ]
    return join(table(("what", "file", "SHA-256"), rows), facts(digests))


def _settings(settings: JsonObject) -> Iterator[tuple[str, str]]:
    for name, value in _flat(settings):
        yield name, code(str(value)) if name == "settings_id" else str(value)


def _flat(values: JsonObject, before: str = "") -> Iterator[tuple[str, Json]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _since(day: TracedDay) -> Iterator[str]:
    told = [*(_where(day) if not (day.place.in_raw and day.place.in_scores) else [])]
    told += since_words(day.since)
    if told:
        yield listed(told)
    else:
        yield el("p", "Nothing changed: these scores follow from what is current.")
