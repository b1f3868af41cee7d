"""Detectors beside each other: where they agree, what each finds, and what other thresholds would change."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import streamlit as st

from anomaly_assets.dashboard.address import choice, remember, several
from anomaly_assets.dashboard.figures import comparison as figures
from anomaly_assets.dashboard.figures.distributions import Look, histogram
from anomaly_assets.dashboard.figures.style import readable, score_words
from anomaly_assets.dashboard.key_figures import KeyFigure, key_figures
from anomaly_assets.dashboard.other_settings import asked, checked, compare, compared
from anomaly_assets.dashboard.sections import together
from anomaly_assets.dashboard.shell import FLAG, WITHOUT_ORGANISATION, deployment, exports, go, misread, selection
from anomaly_assets.dashboard.transactions import SHOWN_AT_MOST, transactions
from anomaly_assets.domain.day_digest import bin_width
from anomaly_assets.domain.days import day_named
from anomaly_assets.evidence.compare import Comparison
from anomaly_assets.settings import Detection
from anomaly_assets.steps.settings_record import recorded_settings
from anomaly_assets.views import what_if
from anomaly_assets.views.agreement import (
    agreement_of_all,
    agreement_over_time,
    by_decile,
    by_set,
    days_with_metrics,
    examples,
    masks_of,
    sets_over_time,
)
from anomaly_assets.views.counts import detector_names
from anomaly_assets.views.distribution import ANOMALY_SCORE, distribution, score_columns
from anomaly_assets.views.overview import totals
from anomaly_assets.views.selection import Selection

TITLE, ICON = "Model comparison", ":material/compare_arrows:"
DAYS_AT_MOST = 14
"""Days that are compared under other settings at once."""
DAYS_FIRST = 3
FIGURES_BESIDE = 3
"""More beside each other would cut off the names of their axes."""


def show() -> None:
    """The screen."""
    st.title(TITLE)
    chosen = selection()
    parts: dict[str, Callable[[Selection], None]] = {
        "agreement": _agreement,
        "examples": _examples,
        "scores and thresholds": _scores,
        "other settings": _other_settings,
    }
    parts[choice("Show", "part", list(parts))](chosen)


def _agreement(chosen: Selection) -> None:
    digests = deployment().digests
    detectors, sets = detector_names(digests, chosen.days), by_set(digests, chosen)
    masks, counts = sets.column("flagged").to_pylist(), sets.column("n_rows").to_pylist()
    agreed, about = agreement_of_all(digests, chosen), "Rows that exactly these flagged."
    key_figures(
        *(
            KeyFigure(figures.set_name(detectors, mask), f"{count:,}", about)
            for mask, count in zip(masks, counts, strict=True)
        ),
        KeyFigure("Agreement", "-" if agreed is None else f"{agreed:.0%}", _MEANING),
    )
    over_time = sets_over_time(digests, chosen)
    st.plotly_chart(figures.sets_over_time(over_time, detectors, masks), key="sets")
    st.caption("Flagged transactions per day; the colour says which detectors flagged them.")
    exports(_named(over_time, detectors), "flags-by-set-of-detectors")
    agreed_over_time = agreement_over_time(digests, chosen)
    st.plotly_chart(figures.agreement_over_time(agreed_over_time), key="agreement")
    st.caption(_MEANING + " Days without flags, and of one detector alone, are gaps.")
    exports(agreed_over_time, "agreement-over-time")
    _deciles(chosen, detectors)


_MEANING = (
    "Of the other detectors of its day, the share that flags a flagged row too: 0 % when every flagged row has a "
    "single flag, 100 % when every detector flags all of them. A detector that could not judge a row does not agree."
)


def _deciles(chosen: Selection, detectors: list[str]) -> None:
    st.subheader("By wallet size")
    table = by_decile(deployment().digests, chosen)
    if not table.num_rows:
        st.info("No day of the period has metrics. Materialize anomaly_metrics for it.", icon=":material/inbox:")
        return
    known, of = days_with_metrics(deployment().digests, chosen), len(chosen.days)
    if known < of:
        st.warning(
            f"{known:,} of {of:,} days have metrics, the others are not in these figures. Materialize anomaly_metrics "
            "for them.",
            icon=":material/hourglass_empty:",
        )
    left, right = st.columns(2)
    left.plotly_chart(figures.rate_by_decile(table, detectors, together=together(chosen)), key="deciles")
    right.plotly_chart(figures.agreement_by_decile(table), key="decile-agreement")
    st.caption(
        "The tenth of wallets with fewest transactions in their window is 1, the one with most is 10; the share of "
        "judged rows that is flagged, and the agreement."
        + ("" if chosen.organisations is None else " Wallets of all organisations: metrics of deciles know none.")
    )
    exports(table, "detectors-by-wallet-size")


def _examples(chosen: Selection) -> None:
    digests = deployment().digests
    detectors, sets = detector_names(digests, chosen.days), by_set(digests, chosen)
    names = {figures.set_name(detectors, mask): mask for mask in sets.column("flagged").to_pylist()}
    counts = dict(zip(names, sets.column("n_rows").to_pylist(), strict=True))
    columns = list(score_columns(digests, chosen))
    if len(columns) > 1:
        _scatter(chosen, detectors, columns)
    st.subheader("Examples of each")
    name = choice("Flagged by", "found_by", list(names), shown=lambda name: f"{name} ({counts[name]:,})")
    transactions(
        examples(digests, chosen, names[name]), "examples", empty="No row of the period is flagged by exactly these."
    )


def _scatter(chosen: Selection, detectors: list[str], columns: list[str]) -> None:
    x, y = columns[:2]
    if len(columns) > 2:
        x = choice("Across", "across", columns, shown=readable)
        y = choice("Upright", "upright", [column for column in columns if column != x], shown=readable)
    flags = chosen.of(deployment().digests.read("flags", chosen.days), "ORG_NAME")
    both = flags.filter(pc.and_(pc.is_valid(flags.column(x)), pc.is_valid(flags.column(y))))
    drawn = both.sort_by([("anomaly_score", "descending")]).slice(0, figures.POINTS_AT_MOST)
    masks = masks_of(drawn, detectors).tolist()
    state = st.plotly_chart(
        figures.scores_against_each_other(drawn, masks, detectors, x, y),
        key="scatter",
        on_select="rerun",
        selection_mode="points",
    )
    more = f", the {drawn.num_rows:,} with the highest anomaly scores" if drawn.num_rows < both.num_rows else ""
    st.caption(
        f"Every mark is a flagged transaction with both scores{more}; {flags.num_rows - both.num_rows:,} others lack "
        "one of them. Each wallet has flag lines of its own, so colours overlap. Click a mark to see why it is flagged."
    )
    if points := state["selection"]["points"]:
        go(FLAG, tx=points[0]["customdata"][0], day=points[0]["customdata"][1])


def _scores(chosen: Selection) -> None:
    digests = deployment().digests
    words = {name: score_words(name, of) for name, of in score_columns(digests, chosen).items()}
    words[ANOMALY_SCORE] = "anomaly score (rank across wallets)"
    columns = st.columns(min(len(words), FIGURES_BESIDE))
    for place, (measure, named) in enumerate(words.items()):
        with columns[place % FIGURES_BESIDE]:
            table = distribution(digests, chosen, measure)
            st.plotly_chart(histogram(table, Look(measure, named)), key=f"scores-{measure}")
            exports(table.drop_columns(["org_name"]), f"scores-{measure}")
    st.caption(
        "Shares of the flagged and of the other rows by score: the less they overlap, the more the score decides."
    )
    st.subheader("If one threshold stood for all wallets")
    measure = choice("Score", "threshold_of", list(words), shown=readable)
    _threshold(chosen, measure, words[measure])


def _threshold(chosen: Selection, measure: str, words: str) -> None:
    digests = deployment().digests
    curve = what_if.rows_by_threshold(digests, chosen, measure)
    if curve.num_rows < 2:
        st.info("No row of the period has this score. Choose a longer period.", icon=":material/inbox:")
        return
    found, of = totals(digests, chosen), score_columns(digests, chosen).get(measure)
    published = (found.total if of is None else found.by_detector[of]).n_flagged
    low, high = float(curve.column("threshold")[0].as_py()), float(curve.column("threshold")[-1].as_py())
    usual = what_if.threshold_for(curve, published)
    steps = Steps(low, high, high if usual is None else usual, what_if.threshold_step(curve, measure), measure)
    threshold = _slider(f"Threshold of {readable(measure)}", f"{measure}_from", steps)
    days = chosen.days if of is None else [day for day in chosen.days if of in detector_names(digests, [day])]
    two_sided = what_if.two_sided_days(digests, chosen, measure)
    reach = "at or beyond" if two_sided else "at or above"
    rows = what_if.rows_at(curve, threshold)
    for column, (label, value) in zip(
        st.columns(3),
        {
            f"Rows {reach}": f"{rows:,}",
            "A day": f"{rows / len(days):,.1f}",
            "Flagged as published": f"{published:,}",
        }.items(),
        strict=True,
    ):
        column.metric(label, value)
    st.plotly_chart(
        figures.rows_by_threshold(curve, words, threshold=threshold, published=published, reach=reach),
        key=f"curve-{measure}",
    )
    st.caption(
        f"The line says how many rows lie {reach} a threshold, which moves by whole histogram bins; where it meets the "
        "level as many rows would be flagged as were. It is a sum over all wallets, whose flag lines may differ: the "
        "part other settings says row by row what changes." + _both_sides(len(two_sided), len(days))
    )
    exports(curve, f"rows-by-threshold-of-{measure}")


def _both_sides(n_days: int, of: int) -> str:
    if not n_days:
        return ""
    days = "" if n_days == of else f" on {n_days} of the {of} days"
    return f" Flags compare the size of this score, whatever its sign{days}: so does the line."


@dataclass(frozen=True)
class Steps:
    """Thresholds to choose from: from ``low`` to ``high`` or just above it, all of them edges of bins.

    Parameters
    ----------
    usual : the one that is not put into the address
    step : between two of them
    measure : whose bins they are edges of
    """

    low: float
    high: float
    usual: float
    step: float
    measure: str

    @property
    def last(self) -> float:
        """The first step at or above ``high``."""
        return self.low + math.ceil((self.high - self.low) / self.step - 1e-9) * self.step

    def asked(self, text: str | None) -> float:
        """The edge nearest to what an address asks for; the usual one when that is no number."""
        if text is None or not is_number(text):
            return self.usual
        number = float(text)
        width = bin_width(self.measure)
        return round(min(max(number, self.low), self.high) / width) * width


def is_number(text: str) -> bool:
    """Whether a text is one that can be compared."""
    try:
        return not math.isnan(float(text))
    except ValueError:
        return False


def _slider(label: str, name: str, steps: Steps) -> float:
    """A threshold, in the address unless it is the usual one."""
    key = f"address-{name}"
    if not steps.low <= st.session_state.get(key, steps.low - 1.0) <= steps.last:
        text = st.query_params.get(name)
        st.session_state[key] = min(max(steps.asked(text), steps.low), steps.last)
        if text is not None and not is_number(text):
            misread(f"The address asks for the threshold {text!r}, which is no number", f"{steps.usual:.6g}")
        elif text is not None and not steps.low <= float(text) <= steps.last:
            beyond = (
                f"The address asks for the threshold {text}, and scores lie from {steps.low:.6g} to {steps.last:.6g}"
            )
            misread(beyond, f"{st.session_state[key]:.6g}")
    value: float = st.slider(label, steps.low, steps.last, key=key, step=steps.step)
    remember(name, [] if abs(value - steps.usual) < 1e-9 else [f"{value:.6g}"])
    return value


def _other_settings(chosen: Selection) -> None:
    digests = deployment().digests
    names = [str(day) for day in chosen.days]
    picked = several("Days (UTC) to compare", "day", names, names[-DAYS_FIRST:], at_most=DAYS_AT_MOST)
    days = [day for name in sorted(picked) if (day := day_named(name)) is not None]
    # the newest of those that most detectors judged, so that the settings of every detector can be changed
    of_day = max(days or chosen.days, key=lambda day: (len(detector_names(digests, [day])), day))
    settings_id = digests.scored(of_day).seal.settings_id or ""
    detection = Detection.of_record(recorded_settings(deployment().home, settings_id))
    changes = asked(detection)
    checked(detection, changes)
    st.caption(
        "What a run with these settings would flag is judged, and fitted where models change, in memory day by day; "
        "nothing that is published is touched. Organisations of the sidebar do not matter here."
    )
    if st.button("Compare", type="primary", disabled=not (days and changes), icon=":material/play_arrow:"):
        compare(days, changes)
    found = compared(days, changes) if days and changes else None
    if found is not None:
        _found(found)
    elif not changes:
        st.info("Change a setting above, then compare.", icon=":material/tune:")


def _found(found: Comparison) -> None:
    if found.left_out:
        days = ", ".join(map(str, found.left_out))
        st.warning(f"Left out, as a detector whose settings are changed did not judge them: {days}.")
    total = found.total
    numbers = {"Flagged then": total.flagged_then, "Flagged now": total.flagged_now}
    numbers |= {"Added": total.added, "Removed": total.removed}
    for column, (label, count) in zip(st.columns(4), numbers.items(), strict=True):
        column.metric(label, f"{count:,}")
    by_day = what_if.days(found)
    st.plotly_chart(figures.flags_then_and_now(by_day), key="then-and-now")
    st.caption(
        "Transactions flagged per day: under both settings, only under the other ones (added), only as published."
    )
    exports(by_day, "flags-then-and-now")
    st.subheader("By organisation")
    table = what_if.organisations(found)
    st.dataframe(_readable(table), hide_index=True, key="by-organisation", placeholder="")
    exports(table, "flags-then-and-now-by-organisation")
    for how in ("added", "removed"):
        st.subheader(f"Flags {how}")
        _changed(what_if.changed(found, how), how)


def _changed(table: pa.Table, how: str) -> None:
    if not table.num_rows:
        st.info(f"No flag is {how}.", icon=":material/inbox:")
        return
    st.caption(f"{table.num_rows:,} rows, at most {SHOWN_AT_MOST:,} are shown. Choose one to see its evidence.")
    shown = table.slice(0, SHOWN_AT_MOST)
    state: Any = st.dataframe(
        shown.rename_columns([readable(name) for name in shown.column_names]),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        key=f"changed-{how}",
        placeholder="",
    )
    if rows := state["selection"]["rows"]:
        row = shown.slice(rows[0], 1).to_pylist()[0]
        go(FLAG, tx=row["tx_id"], day=str(row["day"]))
    exports(table, f"flags-{how}")


def _readable(table: pa.Table) -> pa.Table:
    """The table by organisation in words."""
    named = table.set_column(0, "organisation", pc.fill_null(table.column("org_name"), WITHOUT_ORGANISATION))
    return named.rename_columns([readable(name) for name in named.column_names])


def _named(table: pa.Table, detectors: list[str]) -> pa.Table:
    """The table with sets in words."""
    words = [figures.set_name(detectors, mask) for mask in table.column("flagged").to_pylist()]
    return table.set_column(table.column_names.index("flagged"), "flagged_by", pa.array(words, pa.string()))
