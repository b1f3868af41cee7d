"""One wallet: its amounts, its models day by day, what they let pass, and what Redis serves of it."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import date
from functools import partial

import pyarrow as pa
import streamlit as st

from anomaly_assets.dashboard import address
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.figures.wallet import dots_drawn, normal_map
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.shell import WALLET, Deployment, deployment, exports, go, nothing, plain, selection
from anomaly_assets.dashboard.transactions import transactions
from anomaly_assets.dashboard.wallet_over_time import OverTime
from anomaly_assets.domain.detectors import can
from anomaly_assets.domain.detectors.base import Ability
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.views import wallet as views

TITLE, ICON = "Wallet explorer", ":material/account_balance_wallet:"
OFFERED = 50
"""Wallets a search shows."""
STORE_ANSWERS_IN = 0.2
"""Seconds a store has to answer before the other parts of the screen are finished without it."""
_STORE = ThreadPoolExecutor(4, thread_name_prefix="store")


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen, found = selection(), deployment()
    wallet = _wallet(found)
    rows = views.points(found.wallets, wallet, chosen.days)
    # a wallet that is idle in a period leaves the windows, so the first and last tell whether any knew it
    windows = views.windows(found.wallets, wallet, sorted({chosen.days[0], chosen.days[-1]}))
    if not rows.num_rows and not windows.num_rows:
        nothing(
            f"Nothing is known of wallet {wallet} from {chosen.days[0]} to {chosen.days[-1]}.",
            "# choose another period in the sidebar, or search for another wallet",
        )
    judging = found.digests.detectors(chosen.days)
    names = [each.name for each in judging]
    in_last = sum(row["n_transactions"] for row in windows.to_pylist() if row["day"] == chosen.days[-1])
    _figures(found, wallet, rows, in_last, names)
    served = _STORE.submit(found.served, wallet)
    over_time = OverTime(found, wallet, chosen.days, rows, names)
    over_time.draw_amounts()
    try:
        exports(partial(views.scored_rows, found.wallets, judging, wallet, chosen.days), "wallet-transactions")
        _map(found, wallet, chosen.days)
        st.subheader("Its flags")
        transactions(over_time.flagged, f"flags-{wallet}", empty="It was not flagged in this period.")
        over_time.draw_numbers()
        _difference(found, wallet, chosen.days)
        if not wait([served], STORE_ANSWERS_IN).done:
            over_time.draw_the_rest()
        _served(served)
    except AnomalyAssetsError:  # told below what can be shown
        over_time.draw_the_rest()
        raise
    over_time.draw_the_rest()


def _wallet(found: Deployment) -> str:
    """The wallet of the address, or that which is searched and chosen; ends the screen without one."""
    asked = st.query_params.get("wallet", "")
    text = st.text_input("Search wallets by id", "", placeholder="a part of the id", icon=":material/search:")
    if text or not asked:
        matching = views.wallets_matching(found.home, text, OFFERED)
        if text and text not in {wallet for wallet, _ in matching}:
            st.caption("Not in the newest training window under this very id: it may be new, or inactive.")
        st.caption(
            f"Up to {OFFERED} wallets of the newest training window, those with most transactions first. Choose one."
        )
        table = pa.table(
            {
                "wallet": pa.array([wallet for wallet, _ in matching], pa.string()),
                "transactions in the window": pa.array([count for _, count in matching], pa.int64()),
            }
        )
        state = st.dataframe(
            table, hide_index=True, on_select="rerun", selection_mode="single-row", key="search", placeholder=""
        )
        exports(table, "wallets")
        if chosen := state["selection"]["rows"]:
            go(WALLET, wallet=matching[chosen[0]][0])
        if not asked:
            st.stop()
    st.header(plain(asked), anchor=False)
    return asked


def _figures(found: Deployment, wallet: str, rows: pa.Table, in_last: int, detectors: Sequence[str]) -> None:
    about = (
        "First of all scored days on which the wallet's history was enough for this detector; ≤ marks a day before "
        "which it judged nobody, so that nobody knows."
    )
    key_figures(
        KeyFigure("Transactions", f"{rows.num_rows:,}"),
        KeyFigure("Flagged", f"{sum(rows.column('is_anomaly').to_pylist()):,}"),
        KeyFigure("In the last window", f"{in_last:,}"),
        *(
            KeyFigure(f"{readable(name)} since", _since(found, name, day), about)
            for name, day in views.eligible_since(found.wallets, wallet, detectors).items()
        ),
    )


def _since(found: Deployment, detector: str, day: date | None) -> str:
    if day is None:
        return "not yet"
    return str(day) if views.judged_before(found.wallets, detector, day) else f"≤ {day}"


def _map(found: Deployment, wallet: str, days: Sequence[date]) -> None:
    st.subheader("What its models let pass")
    day = address.day("Day whose models are shown", "day", days, default=days[-1], about=wallet)
    of_day = views.models(found.wallets, wallet, [day])
    if not of_day:
        st.info(f"The wallet had no model on {day}: its history was too short, or all alike.", icon=":material/inbox:")
        return
    maps = views.normal_map(views.payloads(found.home, of_day), of_day, found.detectors(day))
    hours, amounts = views.window_points(found.wallets, wallet, day)
    for detector, column in zip(of_day, st.columns(len(of_day)), strict=True):
        with column:
            st.markdown(f"**{readable(detector.detector)}**, model `{detector.model_id[:16]}`")
            if not can(detector.detector, Ability.BANDS):
                st.info("This detector has no normal bands to draw.")
                continue
            if detector.detector not in maps:
                st.info("The payload of this model is not kept any more; `verify` fits it again.")
                continue
            st.plotly_chart(normal_map(maps[detector.detector], hours, amounts), key=f"map-{detector.detector}")
    st.caption(
        "Shaded: hours and amounts that this model does not flag, exactly. Dots: the transactions it was trained on"
        f"{dots_drawn(len(amounts))}."
    )


def _difference(found: Deployment, wallet: str, days: Sequence[date]) -> None:
    if len(days) < 2:
        return
    st.subheader("Differences between two days")
    left, right = st.columns(2)
    with left:
        first = address.day("One day", "one", days, default=days[-2], about=wallet)
    with right:
        last = address.day("Another day", "another", days, default=days[-1], about=wallet)
    table = views.difference(found.wallets, wallet, first, last)
    st.dataframe(table, hide_index=True, placeholder="")
    exports(table, "wallet-difference")


def _served(asked: Future[list[views.ServedModel]]) -> None:
    st.subheader("In Redis now")
    try:
        served = asked.result()
    except AnomalyAssetsError as error:
        st.warning(plain(f"{error.found}. {error.remedy}"), icon=":material/cloud_off:")
        return
    if not served:
        st.info("The store serves no model of this wallet.", icon=":material/inbox:")
        return
    columns = {
        "detector": [readable(each.detector) for each in served],
        "model": [each.model_id[:16] for each in served],
        "as of": [str(each.as_of) for each in served],
        "generation": [each.generation for each in served],
        "bytes": [each.n_bytes for each in served],
    }
    st.dataframe(pa.table(columns), hide_index=True, placeholder="")
    exports(pa.table(columns), "wallet-served")
