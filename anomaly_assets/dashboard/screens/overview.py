"""A period at a glance."""

import pyarrow as pa
import streamlit as st

from anomaly_assets.dashboard.figures.overview import rows_over_time
from anomaly_assets.dashboard.looks import newest_now, scores_now, store_now
from anomaly_assets.dashboard.newest_flags import show_newest_flags
from anomaly_assets.dashboard.sections import (
    SHOWN_AT_TOP,
    ranking,
    show_judgements,
    show_rate,
    show_totals,
    show_wallets,
)
from anomaly_assets.dashboard.shell import deployment, go, link, plain, selection
from anomaly_assets.dashboard.tables import day, listing, named, number, text
from anomaly_assets.dashboard.transactions import transactions
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.views.counts import detector_names
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.freshness import SERVED
from anomaly_assets.views.overview import flags_of, rates, top, totals
from anomaly_assets.views.selection import Selection

TITLE, ICON = "Overview", ":material/space_dashboard:"


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen, digests = selection(), deployment().digests
    newest, per_day = newest_now(), rates(digests, chosen)
    flags = flags_of(digests, chosen)
    st.caption(_newest(newest))
    show_newest_flags(flags, per_day, detector_names(digests, chosen.days))
    st.subheader("The period")
    show_totals(totals(digests, chosen))
    show_freshness(newest)
    show_rate(per_day)
    left, right = st.columns(2)
    with left:
        st.subheader("Transactions")
        st.plotly_chart(rows_over_time(per_day), key="rows")
        st.caption("A judged transaction is one that some detector could say something about.")
    with right:
        show_judgements(digests, chosen)
    left, right = st.columns(2)
    with left:
        st.subheader("Organisations with most flags")
        _organisations(digests, chosen)
    with right:
        show_wallets(digests, chosen)
    st.subheader("Flags that stand out most")
    transactions(flags, "flags")


def _organisations(digests: Digests, chosen: Selection) -> None:
    found = named(top(digests, chosen, "ORG_NAME", SHOWN_AT_TOP), "ORG_NAME")
    if not found.num_rows:
        st.info("No organisation has a flag here.", icon=":material/inbox:")
        return
    columns = {"ORG_NAME": text("organisation"), **ranking(max(found.column("n_flagged").to_pylist()))}
    if (place := listing(found, "top-organisations", columns, choose=True)) is not None:
        go("organisations", org=found.column("ORG_NAME")[place].as_py())
    st.caption("Choose one to see it beside the others; large ones have many flags by their size alone.")


def _newest(newest: pa.Table) -> str:
    days = dict(zip(newest.column("what").to_pylist(), newest.column("newest").to_pylist(), strict=True))
    served = days[SERVED]
    told = f"the model store serves models of {served}" if served else "the model store serves no models now"
    due = scores_now().told
    return f"Scored up to {days[SCORED]}, raw data up to {days[RAW] or 'no day'}; {told}. {due[0].upper()}{due[1:]}."


def show_freshness(newest: pa.Table) -> None:
    """Newest days of all assets and of the models that are served."""
    st.subheader("How new it is")
    columns = {
        "what": text("what"),
        "newest": day("newest day"),
        "days_behind": number("days behind", "the day that is due; empty: no day is due"),
        "state": st.column_config.TextColumn("state", width="large"),
    }
    listing(newest, "freshness", columns)
    st.caption(
        "Days are counted by the clock, up to the one that should be there by now (nightly.cron, "
        "nightly.due_after_hours, source.complete_until), not up to the newest that happens to be here."
    )
    store = store_now()
    if store.remedy:
        st.warning(plain(f"{store.found} Scores do not depend on it: they are made from the archive then."))
        st.code(store.remedy, language="sh")
    scored = newest.column("newest").to_pylist()[newest.column("what").to_pylist().index(SCORED)]
    link(f"{scored} alone", "overview", **{"from": str(scored), "to": str(scored)})
    link("All days, the store and refused rows", "operations")
