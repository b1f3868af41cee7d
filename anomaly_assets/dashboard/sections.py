"""Sections that several screens show of a selection."""

import pyarrow as pa
import streamlit as st

from anomaly_assets.dashboard.figures.overview import judged_or_why_not, rate_over_time
from anomaly_assets.dashboard.figures.style import ANY, readable
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.shell import WALLET, deployment, go
from anomaly_assets.dashboard.tables import Column, Share, bar, day, listing, number, score, text
from anomaly_assets.domain.algorithms import IS_ANOMALY
from anomaly_assets.domain.day_figures import Figures
from anomaly_assets.domain.detectors.wording import share_text
from anomaly_assets.views.counts import counting, detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.overview import judgements, top
from anomaly_assets.views.selection import Selection
from anomaly_assets.views.usual import FEWEST_DAYS, USUAL_DAYS

SHOWN_AT_TOP = 10


def together(chosen: Selection) -> str:
    """How all detectors are called together that count for ``is_anomaly``."""
    digests = deployment().digests
    names = detector_names(digests, chosen.days)
    return ANY if counting(digests, chosen.days) == names else IS_ANOMALY.column


def show_totals(found: Figures) -> None:
    """Counts of the period in large figures."""
    judged = "some detector could say something about them; the others are not normal, they are not judged"
    key_figures(
        KeyFigure("Transactions", f"{found.total.n_rows:,}"),
        KeyFigure("Judged", share_text(found.total.coverage, 1), judged),
        KeyFigure("Flagged", f"{found.total.n_flagged:,}", "by a detector that counts for is_anomaly"),
        KeyFigure("Rate", share_text(found.total.rate, 2), "flagged / judged"),
        *(KeyFigure(f"By {readable(name)}", f"{counts.n_flagged:,}") for name, counts in found.by_detector.items()),
    )


def show_rate(per_day: pa.Table) -> None:
    """The rate over time with its usual band."""
    st.subheader("Rate over time")
    st.plotly_chart(rate_over_time(per_day), key="rate")
    st.caption(
        f"Of 100 judged transactions so many are flagged. The band holds 8 of 10 of the up to {USUAL_DAYS} scored "
        "days before each day, without those that cannot be read; a red dot lies outside it. With fewer than "
        f"{FEWEST_DAYS} days before there is neither."
    )


def show_judgements(digests: Digests, chosen: Selection) -> None:
    """What each detector could say of the transactions."""
    st.subheader("Judged, or why not")
    found = judgements(digests, chosen)
    st.plotly_chart(judged_or_why_not(found), key="judgements")
    st.caption(
        "Per detector, of the days that it judged: no or too little history means that the wallet has too few "
        "transactions in its training window; constant history, that all its amounts are one."
    )
    with st.expander("As a table"):
        columns: dict[str, Column] = {
            "detector": text("detector"),
            "status": text("status"),
            "n_rows": number("transactions"),
            "share": Share("share"),
        }
        listing(found, "judgements", columns)


def show_wallets(digests: Digests, chosen: Selection) -> None:
    """Wallets with most flags; a chosen one is shown on its own screen."""
    st.subheader("Wallets with most flags")
    found = top(digests, chosen, "WALLET_ID", SHOWN_AT_TOP)
    if not found.num_rows:
        st.info("No wallet has a flag here.", icon=":material/inbox:")
        return
    columns = {"WALLET_ID": text("wallet"), **ranking(max(found.column("n_flagged").to_pylist()))}
    if (place := listing(found, "top-wallets", columns, choose=True)) is not None:
        go(WALLET, wallet=found.column("WALLET_ID")[place].as_py(), day=str(found.column("last_flag")[place].as_py()))
    st.caption("Choose one to see its history.")


def ranking(highest: int) -> dict[str, Column]:
    """Columns of what has most flags, at most ``highest``."""
    return {"n_flagged": bar("flags", highest), "highest_score": score("highest score"), "last_flag": day("last flag")}
