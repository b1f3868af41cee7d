"""One transaction: its verdict, why, everything behind it, and the proof."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import streamlit as st

from anomaly_assets.adapters.verification_log import record
from anomaly_assets.dashboard import address
from anomaly_assets.dashboard.evidence_tree import evidence_tree
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.figures.wallet import amounts_and_line, dots_drawn, normal_map
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.shell import FLAG, Deployment, deployment, file_name, go, link, misread, nothing, plain
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.detectors.amount_bands import AmountBand
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.detectors.wording import amount_text
from anomaly_assets.domain.errors import Erased, NeedsRelease, NotSealed
from anomaly_assets.domain.scored_row import ScoredRow
from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.evidence.case import Case
from anomaly_assets.evidence.erasures import erasure_sentences
from anomaly_assets.evidence.explain import DetectorExplanation, Explanation, explain
from anomaly_assets.evidence.explain_words import change_text, room_text
from anomaly_assets.evidence.lookup import places_of
from anomaly_assets.evidence.not_scored import command_of_earlier_scores, why_not_scored
from anomaly_assets.evidence.proof import Outcome, Proof
from anomaly_assets.evidence.row_words import named, nothing_said, other_flags
from anomaly_assets.evidence.trace import trace
from anomaly_assets.evidence.traced import Trace, TracedDay, UnscoredDay
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.reports.flag_report import flag_page
from anomaly_assets.views.wallet import hours_of_day

TITLE, ICON = "Flag", ":material/flag:"
KEPT = 64
"""Transactions whose explanation is kept in memory."""
_SIGNS = {
    Outcome.PROVEN: ":green[proven]",
    Outcome.ERASED: ":green[erased]",
    Outcome.MISMATCH: ":red[mismatch]",
    Outcome.MISSING: ":orange[missing]",
}


def show() -> None:
    """The screen."""
    st.title("One transaction")
    found = deployment()
    tx_id, day = _transaction(found)
    traced = _trace(found, tx_id, day)
    if isinstance(traced, UnscoredDay):
        st.warning(plain(f"{tx_id} is not scored on {day}: {why_not_scored(traced)}"), icon=":material/help:")
        if command := command_of_earlier_scores(tx_id, traced):
            st.code(command, language="sh")
        evidence_tree(traced, found.settings.dashboard.dagster_address)
        return
    revision = traced.revision
    explanation: Explanation | None = None
    try:
        explanation = _explanation(tx_id, day, revision)
    except NeedsRelease as error:  # of a detector that is not in the code any more: what is recorded of it is drawn
        _flagged_or_not(traced.row)
        st.warning(plain(f"It cannot be explained here: {error.found} ({error.remedy})"), icon=":material/history:")
    else:
        _verdict(traced, explanation)
        _pictures(explanation)
    st.subheader("Evidence")
    evidence_tree(traced, found.settings.dashboard.dagster_address)
    proof = _proof(found, tx_id, day, revision)
    _save(found, tx_id, traced, explanation, proof)


def _transaction(found: Deployment) -> tuple[str, date]:
    """The transaction and day of the address, or those that are searched; ends the screen without one."""
    asked = st.query_params.get("tx", "")
    typed = st.text_input("Transaction id", asked, placeholder="TX_ID of a published file", icon=":material/search:")
    if typed != asked:
        go(FLAG, tx=typed)
    if not typed:
        nothing(
            "Choose a flag in the overview or the timeline, or type the id of any transaction.",
            "anomaly-assets verify --sample 5    # ids of flags picked at random, with their proof",
        )
    places = places_of(found.home, typed)
    days = [place.day for place in places]
    if not days:
        _say_why_not(found, typed)
    newest = next((place.day for place in reversed(places) if place.in_scores), days[-1])
    named = day_named(st.query_params.get("day", ""))
    day = named if named is not None and named in days else newest
    if (asked_day := st.query_params.get("day")) and day != named:
        misread(f"The day {asked_day!r} of the address does not hold this transaction", f"{day}, which does")
    if len(days) > 1:
        day = address.day("Day (several hold this id)", "day", days, default=day, about=typed)
    st.query_params.update({"tx": typed, "day": str(day)})
    return typed, day


def _say_why_not(found: Deployment, tx_id: str) -> None:
    """Raise ``NotSealed``: it never was, or it was erased; then its entry is told first."""
    try:
        trace(found.home, tx_id)
    except Erased:
        for sentence in erasure_sentences(found.home, tx_id):
            st.info(plain(sentence), icon=":material/ink_eraser:")
        raise
    except NotSealed as error:
        st.error(plain(error.found), icon=":material/error:")
        st.markdown(
            "**What to do:** compare the id with `TX_ID` of the published files. A row that was refused when its day "
            "was ingested has no verdict: see *Refused rows* on the page *Operations*."
        )
        link("Operations", "operations")
        st.stop()


def _trace(found: Deployment, tx_id: str, day: date) -> TracedDay | UnscoredDay:
    settings = found.settings
    return trace(
        found.home, tx_id, day=day, configured=settings.detection, key_prefix=settings.dagster.key_prefix
    ).days[0]


@st.cache_resource(max_entries=KEPT, show_spinner="reading the wallet's training window")
def _explanation(tx_id: str, day: date, revision: str) -> Explanation:
    """Explained once per revision of the day."""
    found = deployment()
    return explain(Case.of(found.home, day, revision=revision, compute=found.compute), tx_id)


def _flagged_or_not(row: ScoredRow) -> None:
    if row.anomaly_score is None:
        st.info(f"**Not judged**: {nothing_said(row)}.", icon=":material/help:")
    elif row.is_anomaly:
        st.error(f"**Flagged**: {plain(row.reason or '')}", icon=":material/flag:")
    else:
        st.success(
            f"**Not flagged**: it lies within the limits of {named(row.judged_by())}.", icon=":material/check_circle:"
        )
    if other := other_flags(row):
        told = "" if row.is_anomaly else f": {row.reason}"  # which is told above of an anomaly
        st.warning(plain(f"{other[0].upper()}{other[1:]}{told}"), icon=":material/flag:")


def _verdict(traced: TracedDay, found: Explanation) -> None:
    row = found.row
    _flagged_or_not(row)
    score = row.anomaly_score
    about = "Above 0.5 exactly when flagged; 0.75 is twice as far out as the flag line."
    key_figures(
        KeyFigure("Amount", amount_text(found.amount)),
        KeyFigure("Anomaly score", "-" if score is None else f"{score:.4f}", about),
        KeyFigure("Transactions in the window", f"{found.history.n_rows:,}"),
    )
    organisation = f", {row.org_name}" if row.org_name else ""
    st.text(f"{row.completed_at:%A %Y-%m-%d %H:%M:%S} UTC, wallet {row.wallet_id}{organisation}")
    if found.normal is not None:
        told = change_text(found) if row.is_anomaly else room_text(found)
        st.text(f"{told[0].upper()}{told[1:]}.")
    with st.container(horizontal=True):
        link(f"Wallet {row.wallet_id}", "wallet", wallet=row.wallet_id, day=str(traced.day))
        link(f"All of {traced.day}", "overview", **{"from": str(traced.day), "to": str(traced.day)})


def _pictures(found: Explanation) -> None:
    st.subheader("Why")
    for said, column in zip(found.detectors, st.columns(len(found.detectors)), strict=True):
        with column:
            _detector(found, said)
    st.caption(
        "Shaded: amounts this detector does not flag, exactly. Bars: the transactions of the training window. "
        f"Dots: the same{dots_drawn(len(found.history.amounts))}."
    )


def _detector(found: Explanation, said: DetectorExplanation) -> None:
    is_judged = said.status == DetectorStatus.JUDGED
    verdict = ":red[flagged]" if said.flagged else "not flagged" if is_judged else readable(said.status)
    st.markdown(f"**{readable(said.detector)}**: {verdict}")
    if said.value is not None and said.threshold is not None:
        st.text(f"score {said.value:.4f}, flag line {said.threshold:.4f}, a typical row {said.typical:.4f}")
    if said.normal_by_hour is not None:
        _picture(found, said, said.normal_by_hour)
    if said.sentence:
        st.text(said.sentence)
    if said.shares:
        parts = said.shares
        st.text(
            f"Told apart after {parts.found:.2f} splits, this wallet's rows after {parts.usual:.2f} on average: "
            f"{parts.amount:+.2f} by its amount, {parts.hour:+.2f} by its hour."
        )


def _picture(found: Explanation, said: DetectorExplanation, bands: Sequence[Sequence[AmountBand]]) -> None:
    """What the detector lets pass, by hour where that makes a difference."""
    if all(each == bands[0] for each in bands):
        drawn = amounts_and_line(found.history.amounts, bands[0], point=found.amount)
    else:
        moment = found.row.completed_at
        at = moment.hour + moment.minute / 60 + moment.second / 3600
        hours = hours_of_day(found.history.completed_at_us)
        drawn = normal_map(bands, hours, found.history.amounts, point=(at, found.amount))
    st.plotly_chart(drawn, key=f"picture-{said.detector}")


def _proof(found: Deployment, tx_id: str, day: date, revision: str) -> Proof | None:
    """The proof of this transaction, if it was asked for."""
    st.subheader("Proof")
    key = f"proof-{day}-{revision}-{tx_id}"
    st.caption(
        "Reads files alone: every digest follows from the content, the models judge the row again, and they are "
        "trained again from the pinned raw days."
    )
    if st.button("Verify", type="primary", icon=":material/verified:"):
        with st.status("verifying", expanded=True) as status:
            proof = Verifier(found.home, compute=found.compute, say=st.write).verify(day, [tx_id])
            st.session_state[key] = proof
            told = record(found.home, [proof], who="dashboard", at=datetime.now(UTC))
            status.update(label=f"{proof.outcome.value}", state="complete", expanded=False)
        if told:
            st.caption(told)
    known: Proof | None = st.session_state.get(key)
    if known is None:
        st.code(command_for("verify", tx_id), language="sh")
    else:
        _told(known)
    return known


def _told(proof: Proof) -> None:
    show_as = {Outcome.PROVEN: st.success, Outcome.ERASED: st.success, Outcome.MISSING: st.warning}.get(
        proof.outcome, st.error
    )
    show_as(f"**{proof.outcome.value}** on {proof.day}", icon=":material/verified:")
    for grade, outcome in proof.grades().items():
        links = [each for each in proof.links if each.grade is grade]
        shown = "not examined" if outcome is None else _SIGNS[outcome]
        with st.expander(f"{grade.value}: {shown}", expanded=outcome not in {Outcome.PROVEN, None}):
            for each in links:
                st.markdown(f"- {each.name}: {_SIGNS[each.outcome]}")
                if each.detail:
                    st.text(each.detail)
    for note in proof.notes:
        st.caption(note)


def _save(
    found: Deployment, tx_id: str, traced: TracedDay, explanation: Explanation | None, proof: Proof | None
) -> None:
    st.subheader("For an auditor")
    st.download_button(
        "Save as one HTML file",
        lambda: flag_page(  # drawn when it is asked for
            Trace(tx_id, [traced]),
            explanation,
            proof,
            dagster_address=found.settings.dashboard.dagster_address,
        ),
        file_name(f"flag-{traced.day}-{tx_id}") + ".html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",  # a new run would take back what is being fetched
    )
    told = "verdict, pictures, evidence, proof" if proof else "verdict, pictures, evidence; verify first for the proof"
    st.caption(f"It loads nothing from elsewhere: {told}.")
