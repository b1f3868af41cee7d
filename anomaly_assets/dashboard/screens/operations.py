"""How the machinery does: days, the store, refused rows, proofs, erasures."""

from datetime import date

import streamlit as st

from anomaly_assets.adapters.verification_log import read_log
from anomaly_assets.dashboard.figures.operations import calendar, pass_rate_over_time, proofs_over_time, refused_rows
from anomaly_assets.dashboard.figures.style import readable
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.looks import days_now, findings_now, scores_now, store_now
from anomaly_assets.dashboard.shell import deployment, guarded, nothing, period, plain
from anomaly_assets.dashboard.tables import day as day_column
from anomaly_assets.dashboard.tables import listing, number, text
from anomaly_assets.doctor.findings import Level
from anomaly_assets.evidence.erasures import erasures_of
from anomaly_assets.evidence.erasures import remedies as erasure_remedies
from anomaly_assets.views.erasures import erasures_table
from anomaly_assets.views.partitions import State, counts_by_state, not_in_order, remedies, span
from anomaly_assets.views.quarantine import ledger, refusals, refused
from anomaly_assets.views.store import PUBLISH, StoreState, served_models
from anomaly_assets.views.verified import entries_table, pass_rates

TITLE, ICON = "Operations", ":material/settings_heart:"
MEGABYTE = 1024**2


def show() -> None:
    """The screen."""
    st.title(TITLE)
    known = span(deployment().home, deployment().families, scores_now().due.day)
    if known is None:
        nothing(
            "No day is here yet. Ingest some in Dagster (Jobs > ingest_transactions > Materialize…) or so:",
            "anomaly-assets backfill --from ... --to ...",
        )
    first, last = period(list(known))
    with guarded():  # what is wrong with one section hides no other
        show_findings()
    with guarded():
        show_days(first, last)
    with guarded():
        show_store()
    with guarded():
        show_quarantine(first, last)
    with guarded():
        show_proofs()
    with guarded():
        show_erasures()


def show_findings() -> None:
    """What doctor finds wrong with source, files and disk: days and the store have sections of their own."""
    for finding in findings_now():
        if finding.topic not in {"days", "store"}:
            told = f"{finding.topic}: {finding.found}" + (f". Expected: {finding.expected}" if finding.expected else "")
            (st.error if finding.level is Level.FAILED else st.warning)(plain(told), icon=":material/stethoscope:")
            st.caption(plain(f"What to do: {finding.remedy}."))


def show_days(first: date, last: date) -> None:
    """Which partitions of the period are there."""
    st.subheader("Days")
    states = days_now(first, last)
    counts = counts_by_state(states)
    wanted = [State.SEALED, State.STALE, State.MISSING, State.DAMAGED]
    key_figures(*(KeyFigure(state.value.capitalize(), f"{counts.get(state, 0):,}") for state in wanted))
    st.plotly_chart(calendar(states), key="calendar")
    st.caption(
        "One field is a day of an asset. Sealed: there and whole. Stale: something it was made from is not current any "
        "more. Missing: an earlier day is there, and raw data up to here is there or due. Damaged: its seal or a file "
        "cannot be read."
    )
    scores = scores_now()
    st.markdown(plain(f"By the clock: scored up to {scores.newest or 'no day'}; {scores.told}."))
    bad = not_in_order(states)
    if not bad.num_rows:
        st.success("Every day of the period is there and follows from what is current.", icon=":material/check:")
        return
    st.markdown(
        "**What to do:** materialize these days again in Dagster (*Jobs > ingest_transactions* for raw days, *Jobs > "
        "detect_anomalies* for all others), or run:"
    )
    st.code("\n".join(remedies(states)), language="sh")
    columns = {
        "day": day_column("day"),
        "asset": text("asset"),
        "state": text("state"),
        "because": text("because"),
    }
    listing(bad, "days-not-in-order", columns)


def show_store() -> None:
    """What the store serves, and its memory."""
    st.subheader("Model store")
    store = store_now()
    for waiting in store.pending:
        st.warning(plain(f"Not told yet: {waiting}."), icon=":material/pending:")
    if store.pending:
        st.code(PUBLISH, language="sh")
    if not store.answers:
        st.warning(plain(store.found), icon=":material/power_off:")
        st.caption("Nothing is started by looking. Scores do not depend on it: they are made from the archive then.")
        st.code(store.remedy, language="sh")
        return
    (st.warning if store.remedy else st.success)(plain(store.found))
    if store.remedy:
        st.code(store.remedy, language="sh")
    _store_figures(store)
    if store.published is None:
        return
    models = served_models(deployment().home, store.published)
    if models is None:
        st.info("The files do not hold that training of that day (any more), so its models are not listed by detector.")
        return
    columns = {
        "detector": text("detector"),
        "n_models": number("models"),
        "n_bytes": number("bytes", "of the payloads, as the archive has them"),
        "mean_bytes": st.column_config.NumberColumn("bytes a model", format="%.0f"),
    }
    st.markdown("**Its models by detector**")
    listing(models, "served-models", columns)


def show_quarantine(first: date, last: date) -> None:
    """Refused rows by day and reason, and those of one day."""
    st.subheader("Refused rows")
    lake = deployment().home.lake
    days = [day for day in lake.days("raw_transactions") if first <= day <= last]
    by_reason, account = refusals(lake, days), ledger(lake, days)
    delivered, kept_out = (sum(account.column(name).to_pylist()) for name in ("n_in", "n_quarantined"))
    st.markdown(
        f"{kept_out:,} of {delivered:,} delivered rows were refused at the border"
        + (f" ({kept_out / delivered:.3%})." if delivered else ".")
    )
    if not by_reason.num_rows:
        st.success("No row of these days was refused.", icon=":material/check:")
    else:
        st.plotly_chart(refused_rows(by_reason, first, last), key="refused")
        st.caption("Rows kept beside the raw day with the reason; they are in no window and are not scored.")
        _refused_of_a_day(sorted(set(by_reason.column("day").to_pylist()), reverse=True))
    with st.expander("What became of all rows, by day"):
        columns = {"day": day_column("day"), **{name: number(_LEDGER[name]) for name in account.column_names[1:]}}
        listing(account, "ledger", columns)


_LEDGER = {
    "n_in": "delivered",
    "n_kept": "kept",
    "n_quarantined": "refused",
    "n_duplicate": "exact duplicates",
    "n_erased": "of erased wallets",
}


def show_proofs() -> None:
    """How often what was published is proved again."""
    st.subheader("Verifications")
    entries, unreadable = read_log(deployment().home)
    if unreadable:
        st.warning(f"{unreadable:,} lines of the log of verifications cannot be read.", icon=":material/warning:")
    if not entries:
        st.info(
            "Nothing was verified yet. The nightly run verifies some flags; so do *Verify* on the page *Flag*, and:",
            icon=":material/inbox:",
        )
        st.code("anomaly-assets verify --sample 20", language="sh")
        return
    by_day = pass_rates(entries)
    n_proofs = sum(by_day.column("n_proofs").to_pylist())
    n_good = sum(sum(by_day.column(name).to_pylist()) for name in ("n_proven", "n_erased"))
    key_figures(
        KeyFigure("Pass rate", f"{n_good / n_proofs:.1%}", "proven or erased, of everything recorded"),
        KeyFigure("Proofs", f"{n_proofs:,}"),
        KeyFigure("Last", f"{entries[-1].at:%Y-%m-%d %H:%M}"),
    )
    left, right = st.columns(2)
    left.plotly_chart(pass_rate_over_time(by_day), key="pass-rate")
    right.plotly_chart(proofs_over_time(by_day), key="proofs")
    st.caption(
        "Left the share of proofs that passed on the day they were tried, right how many there were. A mismatch means "
        "that something was changed after it was published: *Verify* on the page *Flag* names the first broken link."
    )
    shown = {
        "at": st.column_config.DatetimeColumn("at (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC"),
        "who": text("asked by"),
        "day": day_column("scored day"),
        "transactions": number("transactions", "empty: all of the day"),
        "outcome": text("outcome"),
        "head": text("head of the publication log"),
    }
    listing(entries_table(entries), "verifications", shown)


def show_erasures() -> None:
    """Who had wallets erased, when and why."""
    st.subheader("Erasures")
    found = erasures_of(deployment().home)
    if not found:
        st.info("No wallet was erased from this home.", icon=":material/inbox:")
        return
    for remedy in erasure_remedies(found):
        st.warning(f"{remedy}.", icon=":material/warning:")
    columns = {
        "entry": number("entry", "of the publication log; empty: none (yet)"),
        "at": text("at"),
        "by": text("asked by"),
        "reason": text("reason"),
        "ticket": text("ticket"),
        "transactions": number("transactions", "that answer erased"),
        "state": text("state"),
        "wallet": text("wallet", "salted digest of its id"),
    }
    listing(erasures_table(found), "erasures", columns)


def _store_figures(store: StoreState) -> None:
    health, published = store.health, store.published
    known = [KeyFigure("Models", f"{store.n_models or 0:,}", "listed in model_updates")]
    if published is not None:
        known.insert(0, KeyFigure("Serves", str(published.as_of), f"generation {published.generation}"))
    if health is not None:
        limit = f"{health.max_memory_bytes / MEGABYTE:,.0f} MB" if health.max_memory_bytes else "none"
        known.append(KeyFigure("Memory", f"{health.used_memory_bytes / MEGABYTE:,.1f} MB"))
        known.append(KeyFigure("Memory limit", limit))
    key_figures(*known)
    if health is None:
        return
    if health.max_memory_bytes:
        used = min(health.used_memory_bytes / health.max_memory_bytes, 1.0)
        st.progress(used, text=f"{used:.1%} of the memory limit is used")
    kept = "yes" if health.append_only else "no"
    st.caption(f"{store.kind}, {health.kind} {health.version}, {health.eviction_policy}, every write on disk: {kept}")
    for problem in health.problems():
        st.warning(plain(f"{problem.found}. What to do: {problem.remedy}"))


def _refused_of_a_day(days: list[date]) -> None:
    day = st.selectbox("Refused rows of", days, format_func=str)
    rows = refused(deployment().home.lake, day)
    columns = {
        name: text(readable(name))
        for name in ("reason", "tx_id", "wallet_id", "tx_completed_at", "total_amount", "org_name")
    }
    listing(rows, f"refused-{day}", columns)
