"""Organisations beside each other, and one of them in detail."""

from collections.abc import Sequence

import pyarrow as pa
import streamlit as st

from anomaly_assets.dashboard.figures.organisations import funnel, intervals
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.sections import show_judgements, show_rate, show_totals, show_wallets
from anomaly_assets.dashboard.shell import WITHOUT_ORGANISATION, deployment, go, organisation, plain, selection
from anomaly_assets.dashboard.tables import Column, Share, listing, named, number, text
from anomaly_assets.dashboard.transactions import transactions
from anomaly_assets.views.counts import detector_names, flagged_column
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.organisations import ABOVE, BELOW, furthest, limits, one, peers
from anomaly_assets.views.overview import flags_of, rates, totals
from anomaly_assets.views.selection import Selection

TITLE, ICON = "Organisations", ":material/corporate_fare:"
FURTHEST = 25
"""Organisations that are shown with their intervals."""


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen, digests = selection(), deployment().digests
    found = peers(digests, chosen)
    picked = [organisation(name) for name in chosen.organisations or ()]
    standings = found.column("standing").to_pylist()
    key_figures(
        KeyFigure("Organisations", f"{found.num_rows:,}"),
        KeyFigure("Above the others", f"{standings.count(ABOVE):,}", "the interval lies above their rate"),
        KeyFigure("Below the others", f"{standings.count(BELOW):,}", "the interval lies below their rate"),
        KeyFigure("Flagged", f"{sum(found.column('n_flagged').to_pylist()):,}"),
    )
    shown = named(found, "org_name")
    show_peers(shown, picked)
    show_table(shown, picked, detector_names(digests, chosen.days))
    if picked:
        name = picked[0] if len(picked) == 1 else st.selectbox("In detail", picked)
        show_one(digests, chosen, found, name)
    else:
        st.info(
            "Choose an organisation in the table or in the sidebar to see it in detail.", icon=":material/ads_click:"
        )


def show_peers(found: pa.Table, picked: Sequence[str]) -> None:
    """All organisations as dots, and those furthest from the others with their intervals."""
    st.subheader("Rates against all others")
    st.plotly_chart(funnel(found, limits(found), picked), key="funnel")
    st.caption(
        "A dot is an organisation, the larger ones to the right. Of 100 that are like all the others about 5 lie "
        "outside the band by chance (small ones more or less often: they have few rates to choose from), and some more "
        "because flags of a wallet come in bursts. A red dot lies above the band, a blue one below it."
    )
    far = furthest(found, FURTHEST)
    with st.expander(f"The {far.num_rows} furthest from the others, with intervals", expanded=not picked):
        st.plotly_chart(intervals(far), key="intervals")
        st.caption(
            "The line is the 95 % Wilson interval of the rate: the fewer transactions, the wider. The mark is the rate "
            "of all others together; an interval that does not reach it is coloured."
        )


def show_table(found: pa.Table, picked: Sequence[str], detectors: Sequence[str]) -> None:
    """All organisations with their counts; a chosen one is shown in detail."""
    columns: dict[str, Column] = {
        "org_name": text("organisation"),
        "n_rows": number("transactions"),
        "coverage": Share("judged"),
        "n_flagged": number("flagged"),
        **{flagged_column(name): number(f"by {readable(name)}") for name in detectors},
        "rate": Share("rate", "flagged / judged"),
        "low": Share("from", "lower end of the 95 % interval of the rate"),
        "high": Share("to", "upper end of the 95 % interval of the rate"),
        "others_rate": Share("all others"),
        "standing": text("standing"),
    }
    place = listing(found, "organisations", columns, choose=True, state=",".join(picked))
    if place is not None and (name := found.column("org_name")[place].as_py()) not in picked:
        go("organisations", org=name)


def show_one(digests: Digests, chosen: Selection, found: pa.Table, name: str) -> None:
    """One organisation: its counts, rate over time, reasons not to judge, wallets and flags."""
    own = None if name == WITHOUT_ORGANISATION else name
    alone = Selection(chosen.days, (own,))
    st.header(plain(name), anchor=False)
    peer = one(found, own)
    if peer is None:
        st.info("No transaction of it lies in this period.", icon=":material/inbox:")
        return
    show_totals(totals(digests, alone))
    if peer.rate is not None and peer.others_rate is not None:
        st.markdown(
            f"Its rate is **{peer.rate:.2%}** (95 % interval {peer.low:.2%} to {peer.high:.2%}), that of all "
            f"others together {peer.others_rate:.2%}: **{peer.standing}**."
        )
    show_rate(rates(digests, alone))
    left, right = st.columns(2)
    with left:
        show_judgements(digests, alone)
    with right:
        show_wallets(digests, alone)
    st.subheader("Its flags")
    transactions(flags_of(digests, alone), "organisation-flags", empty="No transaction of it is flagged here.")
