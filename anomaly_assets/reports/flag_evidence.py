"""What a verdict stands on, as parts of a transaction's page: window, runs, files, settings, and what changed since."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from anomaly_assets.evidence.not_scored import why_not_scored
from anomaly_assets.evidence.since import since_words
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


def evidence_sections(day: Mapping[str, Any], dagster_address: str | None) -> list[Html]:
    """The evidence tree of a day of a trace; of a day that is not scored, only where the transaction is."""
    if not day["scored"]:
        return [section("Where it is", listed(_where(day)))] if "held_by" in day else []
    return [
        section("Training data", facts(_window(day["training_window"]))),
        section("Runs", *_runs(day["runs"], dagster_address)),
        section("Files", _files(day)),
        section("Settings it was scored with", facts(_settings(day["settings"]))),
        section("Since then", *_since(day)),
    ]


def other_days(days: Sequence[Mapping[str, Any]]) -> list[Html]:
    """What other days hold a transaction of that id."""
    if not days:
        return []
    rows = []
    for day in days:
        verdict = day["verdict"] if day["scored"] else None
        told = why_not_scored(day) if verdict is None else "flagged" if verdict["is_anomaly"] else "not flagged"
        rows.append((day["day"], "scored" if day["scored"] else "not scored", told))
    return [section("Other days that hold this id", table(("day", "", "verdict"), rows))]


def _where(day: Mapping[str, Any]) -> Iterator[str]:
    held = day["held_by"]
    if held["current_raw"] is None:
        yield "the current raw day cannot be read"
    elif held["current_raw"]:
        yield "the current raw day holds it"
    else:
        earlier = join(*(join(" ", code(revision)) for revision in held["earlier_raw_revisions"]))
        yield join("the current raw day does not hold it; earlier revisions do:", earlier)
    if day["scored"] and not held["current_scores"]:
        yield "the current scores of this day do not hold it"
    for revision in day.get("earlier_scores", []):
        yield join("scores of an earlier revision hold it: ", code(revision))


def _window(window: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "days", f"{window['first']} up to, and without, {window['end']}"
    missing = window["days_missing"]
    yield (
        "pinned",
        f"{window['days_pinned']} days" + (f"; missing: {', '.join(missing)}" if missing else ", none missing"),
    )
    wallet = window["wallet"]
    if wallet is None:
        yield "of this wallet", "no transaction"
    else:
        yield (
            "of this wallet",
            f"{wallet['n_transactions']:,} transactions, {moment(wallet['first_at'])} to {moment(wallet['last_at'])}",
        )
        yield "digest of its rows", code(wallet["rows_digest"])
    yield "manifest", code(window["manifest_id"])
    yield "revision", code(window["revision"])
    yield "generation", str(window["generation"])


def _runs(runs: Mapping[str, Any], address: str | None) -> Iterator[str]:
    rows = []
    for name, run in runs.items():
        if run is None:
            rows.append((name, "", badge("not in the publication log", "doubtful"), "", ""))
            continue
        shown = code(run["run_id"])
        pages = ""
        if address is not None:
            base = address.rstrip("/")
            pages = join(
                link(f"{base}{run['run_page']}", "run"), " · ", link(f"{base}{run['partition_page']}", "partition")
            )
        again = f"{run['confirmed_again']:,} times" if run["confirmed_again"] else "never"
        rows.append((name, moment(run["at"]), shown, again, pages))
    yield table(("what", "published at", "by run", "the same again", "in Dagster"), rows)
    yield el("h3", "Entries of the publication log")
    yield facts((name, code(run["log_entry"])) for name, run in runs.items() if run is not None)


def _files(day: Mapping[str, Any]) -> Html:
    published = day["files"]["published"]
    rows = [
        (name, foreign(file["file"]), code(file["sha256"]))
        for name, file in day["files"].items()
        if name != "published"
    ]
    state = "these scores, byte for byte" if published["is_these_scores"] else "not these scores"
    tone = "good" if published["is_these_scores"] else "doubtful"
    rows.insert(0, ("published", published["file"], badge(state, tone)))
    digests = [
        ("revision of the scores", code(day["revision"])),
        ("revision of the raw day", code(day["raw_revision"])),
    ]
    return join(table(("what", "file", "SHA-256"), rows), facts(digests))


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in _flat(settings):
        yield name, code(str(value)) if name == "settings_id" else str(value)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _since(day: Mapping[str, Any]) -> Iterator[str]:
    told = [*(_where(day) if not (day["held_by"]["current_raw"] and day["held_by"]["current_scores"]) else [])]
    told += since_words(day["since"])
    if told:
        yield listed(told)
    else:
        yield el("p", "Nothing changed: these scores follow from what is current.")
