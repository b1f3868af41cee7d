"""One transaction as one file for an auditor: verdict, reasons, evidence, proof, and how to prove it again."""

from collections.abc import Sequence
from datetime import datetime

from anomaly_assets.domain.detectors.wording import amount_text, hour_text
from anomaly_assets.evidence.explain import Explanation
from anomaly_assets.evidence.explain_picture import picture
from anomaly_assets.evidence.explain_words import bands_text, change_text, hours_alike, room_text
from anomaly_assets.evidence.not_scored import why_not_scored
from anomaly_assets.evidence.proof import Outcome, Proof
from anomaly_assets.evidence.row_words import named, nothing_said, other_flags, unflagged
from anomaly_assets.evidence.traced import Trace, TracedDay, UnscoredDay
from anomaly_assets.reports.flag_detectors import detector_section
from anomaly_assets.reports.flag_evidence import evidence_sections, other_days
from anomaly_assets.reports.flag_proof import OUTCOME_TONES, commands_section, proof_section
from anomaly_assets.reports.page import (
    Html,
    badge,
    el,
    foreign,
    image,
    join,
    lines,
    listed,
    moment,
    page,
    section,
    table,
    words,
)


def flag_page(
    traced: Trace,
    explanation: Explanation | None,
    proof: Proof | None,
    *,
    dagster_address: str | None = None,
    written_at: datetime | None = None,
) -> str:
    """The page of a transaction, flagged or not, which loads nothing: equal for equal arguments.

    Parameters
    ----------
    traced : what ``evidence.trace`` found, or why it found nothing
    explanation : of the day that is meant, which is else that of the proof, else the last scored one; None: no pictures
    proof : what was shown of it; None: it was not proved for this page
    dagster_address : where Dagster's pages are, for links to runs and partitions; None: no links
    written_at : shown at the foot
    """
    tx_id, days = traced.tx_id, traced.days
    day = _meant(days, explanation, proof)
    verdict, tone, sentence = _verdict(day, proof, was_erased=traced.erasures is not None)
    body: list[str] = [
        el(
            "header",
            el("h1", f"Transaction {tx_id}"),
            el("p", badge(verdict, tone), " ", _proof_badge(proof)),
            el("p", sentence, class_="lead"),
            *([el("p", lines(traced.error))] if traced.error else []),
            *([listed(map(foreign, traced.erasures))] if traced.erasures else []),
        )
    ]
    if explanation is not None:
        body.append(_why(explanation))
    elif isinstance(day, TracedDay) and day.row.reason:
        body.append(section("Why", el("p", day.row.reason)))
    said = {each.detector: each for each in explanation.detectors} if explanation else {}
    if isinstance(day, TracedDay):
        body += [detector_section(each, said.get(each.detector), explanation) for each in day.detectors]
    body += evidence_sections(day, dagster_address)
    body += other_days([each for each in days if each is not day])
    body += [proof_section(proof), commands_section(tx_id, day, proof)]
    return page(f"{verdict}: transaction {tx_id}", *body, written_at=written_at)


def _meant(
    days: Sequence[TracedDay | UnscoredDay], explanation: Explanation | None, proof: Proof | None
) -> TracedDay | UnscoredDay | None:
    """The day that the page is about; None when no day holds the transaction any more."""
    wanted = explanation.day if explanation else proof.day if proof else None
    of_day = [each for each in days if each.day == wanted]
    scored = [each for each in days if isinstance(each, TracedDay)]
    chosen = of_day[:1] or scored[-1:] or days[-1:]
    return chosen[0] if chosen else None


def _verdict(day: TracedDay | UnscoredDay | None, proof: Proof | None, *, was_erased: bool) -> tuple[str, str, str]:
    """The verdict in a word, its tone, and in a sentence."""
    if not isinstance(day, TracedDay):
        if was_erased or (proof is not None and proof.outcome is Outcome.ERASED):
            told = "Its wallet was erased, so nothing of the transaction itself is kept."
            return "erased", "plain", told
        if day is None:
            return "not available", "doubtful", "Nothing could be read of this transaction."
        return "not scored", "doubtful", f"{day.day} is not scored with it: {why_not_scored(day)}."
    row = day.row
    name = row.org_name
    organisation = join(" (organisation ", foreign(name), ")") if name is not None else ""
    amount = f"{amount_text(row.amount)} at {moment(row.completed_at.isoformat())} of wallet "
    what = join(amount, foreign(row.wallet_id), organisation)
    other = f" It was {said}." if (said := other_flags(row)) else ""
    if row.anomaly_score is None:
        told = f" was not judged, which does not make it normal: {nothing_said(row)}.{other}"
        return "not judged", "doubtful", join(what, told)
    score = f"anomaly score {row.anomaly_score:.4f}, above 0.5 is flagged"
    if row.is_anomaly:
        return "flagged", "bad", join(what, f" was flagged by {named(row.flagged_by())}: {score}.{other}")
    return "not flagged", "good", join(what, f" was not flagged: {score}.{other}")


def _proof_badge(proof: Proof | None) -> Html:
    if proof is None:
        return badge("not proved for this page", "plain")
    return badge(f"proof: {proof.outcome.value}", OUTCOME_TONES[proof.outcome])


def _why(found: Explanation) -> Html:
    """Sentences, the smallest change, the map of hours and amounts, and the hours in words."""
    parts: list[str] = [el("p", found.row.reason)] if found.row.reason else []
    if found.normal is None:
        silent = [each for each in found.detectors if each.score is None and each.sentence]
        parts += [el("p", f"{words(each.detector)}: {each.sentence}.") for each in silent]
        return section("Why it was not judged", *parts)
    amounts = f"amounts {unflagged(found.row)}"
    normal = el("b", bands_text(found.normal))
    parts.append(el("p", f"{amounts.capitalize()} in {hour_text(found.hour)}: ", normal, "."))
    change = change_text(found) if found.row.is_anomaly else room_text(found)
    parts.append(el("p", f"{change[0].upper()}{change[1:]}."))
    parts.append(image(picture(found), _seen(found)))
    rows = [
        (name, f"{count:,}", join(el("b", normal), " (this transaction's hour)") if own else normal)
        for name, count, normal, own in hours_alike(found)
    ]
    parts.append(table(("hours, UTC", "in the window", amounts), rows, numbers=(1,)))
    title = "Why it was flagged" if found.row.is_anomaly else "Why it was not flagged"
    return section(title, *parts)


def _seen(found: Explanation) -> str:
    """The map in words."""
    return (
        f"Hours of the day against amounts: {found.history.n_rows:,} transactions of the window as dots, what is "
        f"{unflagged(found.row)} as an area, and this transaction, {amount_text(found.amount)} in "
        f"{hour_text(found.hour)}, as a cross; {bands_text(found.normal or [])} would not be flagged there"
    )
