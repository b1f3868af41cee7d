"""What was shown to be true of a transaction, link by link, and the commands that show it again."""

from collections.abc import Iterator

from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.evidence.not_scored import command_of_earlier_scores
from anomaly_assets.evidence.proof import Outcome, Proof
from anomaly_assets.evidence.traced import TracedDay, UnscoredDay
from anomaly_assets.reports.page import Html, badge, code, el, facts, join, lines, listed, section, table

OUTCOME_TONES = {
    Outcome.PROVEN: "good",
    Outcome.ERASED: "plain",
    Outcome.MISSING: "doubtful",
    Outcome.MISMATCH: "bad",
}
_MEANING = {
    Outcome.PROVEN: "Every file is what was published, the models give the same verdicts again, and fitting the same "
    "training data again gives the same models, to the byte.",
    Outcome.ERASED: "The transaction went with its wallet, which was erased; all before that was found in order.",
    Outcome.MISSING: "Something that is needed is not there, so not everything could be shown.",
    Outcome.MISMATCH: "Something is not what was published: the first broken link is named below.",
}


def proof_section(proof: Proof | None) -> Html:
    """Outcome, grades, every link that was examined, and notes."""
    if proof is None:
        return section("Proof", el("p", "It was not proved for this page; the first command below does it."))
    parts: list[str] = [
        el("p", badge(proof.outcome.value, OUTCOME_TONES[proof.outcome]), f" {_MEANING[proof.outcome]}"),
        facts((grade.value, _state(outcome)) for grade, outcome in proof.grades().items()),
    ]
    if (broken := proof.broken) is not None:
        named = f"{broken.grade.value}, {broken.name}: {broken.outcome.value}"
        tone = OUTCOME_TONES[broken.outcome]
        parts.append(el("p", el("b", named), el("br"), lines(broken.detail), class_=tone))
    rows = [
        (el("span", each.grade.value, class_="one"), each.name, _state(each.outcome), lines(each.detail))
        for each in proof.links
    ]
    parts.append(table(("grade", "link", "outcome", "detail"), rows))
    parts += [el("h3", "Notes"), listed(proof.notes)] if proof.notes else []
    return section("Proof", *parts)


def commands_section(tx_id: str, day: TracedDay | UnscoredDay | None, proof: Proof | None) -> Html:
    """Commands for whoever has the home: proof with the log's entry of these scores, trace, explanation."""
    return section(
        "Prove it again",
        el("p", "With the home these scores were made in, and nothing else: no Dagster, no store, no network."),
        *(join(el("p", told), el("pre", code(command))) for told, command in _commands(tx_id, day, proof)),
    )


def _commands(tx_id: str, day: TracedDay | UnscoredDay | None, proof: Proof | None) -> Iterator[tuple[str, str]]:
    if not isinstance(day, TracedDay):
        options = f" --day {proof.day}" if proof is not None else ""
        yield "What can be shown of it:", command_for(f"verify{options}", tx_id)
        earlier = None if day is None else command_of_earlier_scores(tx_id, day)
        yield "Where it is:", earlier or command_for("trace", tx_id)
        return
    chosen = f" --day {day.day}"
    older = f" --revision {day.revision}" if SCORED in day.since.newer else ""
    run = day.runs["scored"]
    head = f" --head {run.log_entry}" if run else ""
    yield (
        "Proof; the publication log must still hold the entry of these scores:",
        command_for(f"verify{chosen}{older}{head}", tx_id),
    )
    yield "Everything behind it:", command_for(f"trace{chosen}{older}", tx_id)
    if not older:
        yield "Why, in words:", command_for(f"explain{chosen}", tx_id)
    published = day.files.published
    if published.is_these_scores:
        yield f"The published file has the digest {day.files.sealed[SCORED].sha256}:", f"sha256sum {published.file}"


def _state(outcome: Outcome | None) -> Html:
    return badge("not examined", "plain") if outcome is None else badge(outcome.value, OUTCOME_TONES[outcome])
