"""How scores, amounts and hours are distributed."""

import streamlit as st

from anomaly_assets.dashboard.address import choice, switch
from anomaly_assets.dashboard.figures.distributions import Look, histogram, small_multiples
from anomaly_assets.dashboard.figures.style import ANY, score_words
from anomaly_assets.dashboard.sections import together
from anomaly_assets.dashboard.shell import WITHOUT_ORGANISATION, deployment, exports, selection
from anomaly_assets.domain.day_digest import AMOUNT
from anomaly_assets.views.distribution import ANOMALY_SCORE, BESIDE_SCORES, HOUR, distribution, largest, score_columns
from anomaly_assets.views.selection import Selection

TITLE, ICON = "Distributions", ":material/bar_chart:"
SMALL_MULTIPLES = 9
"""Organisations that are shown beside each other."""
ALL, APART = "together", "apart"


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen = selection()
    words = measures(chosen)
    left, middle, right = st.columns([2, 2, 2], vertical_alignment="bottom")
    with left:
        share = choice("Bars show", "bars", ["share", "count"]) == "share"
    with middle:
        apart = choice("Organisations", "organisations", [ALL, APART]) == APART
    with right:
        logarithmic = switch("Logarithmic axis of counts", "log")
    st.caption(
        "Flagged rows lie over the others. "
        + ("" if together(chosen) == ANY else "Those of a score have the flag that its detector counts for. ")
        + ("All bars of a colour add up to 100 %, so shapes can be compared. " if share else "Bars are row counts. ")
        + "Rows that a detector did not judge have no score and are in no bar of it."
    )
    if apart:
        measure = choice("Measure", "measure", list(words), shown=lambda name: words[name].partition(" (")[0])
        _apart(chosen, Look(measure, words[measure], share, logarithmic))
        return
    columns = st.columns(2)
    for place, (measure, named) in enumerate(words.items()):
        with columns[place % 2]:
            _together(chosen, Look(measure, named, share, logarithmic))


def measures(chosen: Selection) -> dict[str, str]:
    """What has a distribution, with the words on its axis: scores of the detectors first."""
    scores = score_columns(deployment().digests, chosen)
    beside = {
        ANOMALY_SCORE: "anomaly score (rank across wallets, 0 to 1; flagged above 0.5)",
        AMOUNT: "amount (in the currency of the data, logarithmic scale)",
        HOUR: "hour of day (UTC)",
    }
    named = {column: score_words(column, name, "higher is more anomalous") for column, name in scores.items()}
    return named | {name: beside[name] for name in BESIDE_SCORES}


def _together(chosen: Selection, look: Look) -> None:
    table = distribution(deployment().digests, chosen, look.measure)
    st.subheader(look.words.partition(" (")[0].capitalize())
    if not table.num_rows:
        st.info("No row of the period has it. Choose a longer period.", icon=":material/inbox:")
        return
    st.plotly_chart(histogram(table, look), key=f"histogram-{look.measure}")
    exports(table.drop_columns(["org_name"]), f"distribution-of-{look.measure}")


def _apart(chosen: Selection, look: Look) -> None:
    digests = deployment().digests
    organisations = largest(digests, chosen, SMALL_MULTIPLES)
    of_these = Selection(chosen.days, tuple(organisations))
    table = distribution(digests, of_these, look.measure, apart=True)
    if not table.num_rows:
        st.info("No row of the period has it. Choose a longer period.", icon=":material/inbox:")
        return
    st.plotly_chart(small_multiples(table, look, organisations, WITHOUT_ORGANISATION), key="small-multiples")
    st.caption(
        f"The organisations with most rows, at most {SMALL_MULTIPLES}, on the same axis across"
        + (", upright each on its own: a single flagged row is 100 %." if look.share else " and upright.")
        + " Choose others in the sidebar."
    )
    exports(table, f"distribution-of-{look.measure}-by-organisation")
