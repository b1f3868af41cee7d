"""What all screens share: the deployment, the period in the sidebar, addresses, and how errors are told."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any, NoReturn

import pyarrow as pa
import streamlit as st

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.model_store import ModelStore
from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.domain.days import day_named
from anomaly_assets.domain.detectors import known_detectors
from anomaly_assets.domain.detectors.base import Detector
from anomaly_assets.domain.errors import AnomalyAssetsError, StoreUnavailable
from anomaly_assets.domain.families import Family
from anomaly_assets.domain.shown_text import shown
from anomaly_assets.installed_families import installed_families
from anomaly_assets.settings import Settings, load_settings
from anomaly_assets.views.current import CurrentPartitions
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.exports import to_csv, to_parquet
from anomaly_assets.views.of_wallet import WalletReader
from anomaly_assets.views.selection import Selection, within
from anomaly_assets.views.wallet import ServedModel, served

DAYS_SHOWN_FIRST = 28
"""Length of the period that is chosen at first."""
BEYOND = timedelta(days=730)
"""How far beyond the scored days a period may reach."""
WITHOUT_ORGANISATION = "(none)"
"""How rows without an organisation are named."""
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")
"""What may mean something in Markdown: all punctuation of ASCII, which a backslash makes plain."""
_MADE_SOMETHING_OF = re.compile(r":/|[wW][.]|.@|-(?=-)-|->|<-|=>|<=", re.DOTALL)
IN_DAGSTER = "Jobs > detect_anomalies > Materialize all, after ingest_transactions of these days and their window"
"""Where days are scored by clicking."""
FLAG, WALLET = "flag", "wallet"
"""Screens of one transaction and of one wallet."""
_LEADS = {"tx": FLAG, "wallet": WALLET}
"""Parameters of an address that name the screen by themselves."""


@dataclass(frozen=True)
class Deployment:
    """What the dashboard looks at, the same for everybody who looks."""

    settings: Settings
    home: Home
    current: CurrentPartitions
    digests: Digests
    wallets: WalletReader
    compute: Compute
    families: Sequence[Family]

    @contextmanager
    def store(self) -> Iterator[ModelStore]:
        """The model store, if it runs: looking does not start one. Raises ``StoreUnavailable``."""
        provider = StoreProvider.from_settings(self.settings.redis)
        address = provider.running(self.home)
        if address is None:
            raise StoreUnavailable("the embedded store does not run", remedy="start it: anomaly-assets store start")
        with provider.open(self.home, address) as store:
            yield store

    def detectors(self, day: date) -> Sequence[Detector]:
        """Those that judged a scored day and are in this release, with the settings of then.

        Raises ``NotSealed``, ``CorruptFile``.
        """
        return known_detectors(self.digests.detectors_of(self.digests.scored(day)))

    def served(self, wallet: str) -> list[ServedModel]:
        """What the store serves of a wallet now. Raises ``StoreUnavailable``."""
        with self.store() as store:
            return served(store, wallet)


@st.cache_resource(show_spinner=False)
def families() -> Sequence[Family]:
    """The installed families, asked for once per process."""
    return installed_families()


@st.cache_resource(show_spinner=False)
def deployment() -> Deployment:
    """The configured deployment, read once per process."""
    settings = load_settings()
    home = Home(settings.home)
    compute, current = Compute.share(settings.compute, runs_at_once=1), CurrentPartitions(home.lake)
    wallets = WalletReader(home, current, threads=compute.threads)
    return Deployment(settings, home, current, Digests(home, current), wallets, compute, families())


def deep_link(pages: Mapping[str, Any], current: Any) -> None:
    """Follow ``?page=``, ``?tx=`` and ``?wallet=`` from the root, where links lead that were made elsewhere.

    Streamlit serves its screens under their own addresses too, but asks for its own files beside them first.
    """
    st.session_state["pages"] = pages
    asked = st.query_params
    named = next((name for parameter, name in _LEADS.items() if parameter in asked), asked.get("page", ""))
    if "page" in asked and asked["page"] not in pages:
        misread(f"There is no page {asked['page']!r}", f"{current.title}; the pages are {', '.join(pages)}")
    if named in pages and ("page" in asked or pages[named] is not current):
        st.switch_page(pages[named], query_params={name: asked.get_all(name) for name in asked if name != "page"})


def misread(what: str, shown_instead: str) -> None:
    """Say what an address asks for and cannot have, and what is shown instead."""
    st.warning(plain(f"{what}. Shown is {shown_instead}."), icon=":material/link_off:")


def page_of(name: str) -> Any:
    """A screen, as Streamlit's links and switches take it."""
    return st.session_state["pages"][name]


def go(name: str, **parameters: str) -> NoReturn:
    """Show another screen with these parameters in the address."""
    st.switch_page(page_of(name), query_params=parameters)


def link(label: str, name: str, **parameters: str) -> None:
    """A link to a screen with these parameters."""
    st.page_link(page_of(name), label=plain(label), query_params=parameters)


def plain(text: str) -> str:
    """Foreign text inside Markdown: shown as it is, on one line, and nothing of it a link.

    What Streamlit would make a link or an arrow of, whatever is before it, is parted by a space without width.
    """
    parted = _MADE_SOMETHING_OF.sub(lambda found: f"{found[0][:-1]}\u200b{found[0][-1]}", shown(text))
    return _MARKS.sub(r"\\\g<0>", parted)


@contextmanager
def guarded() -> Iterator[None]:
    """Tell an error of the project as a sentence with its remedy; others are Streamlit's to show."""
    try:
        yield
    except AnomalyAssetsError as error:
        st.error(plain(error.found), icon=":material/error:")
        if error.expected:
            st.markdown("**Expected:**")
            st.text(error.expected)
        if error.remedy:
            st.markdown("**What to do:**")
            st.text(error.remedy)


def nothing(sentence: str, remedy: str) -> NoReturn:
    """End the screen: there is nothing to show, and this is how there would be."""
    st.info(plain(sentence), icon=":material/inbox:")
    st.code(remedy, language="sh")
    st.stop()


def selection() -> Selection:
    """The period and organisations of the sidebar, kept over screens and in the address.

    Ends the screen when nothing is scored.
    """
    digests = deployment().digests
    days = digests.days()
    if not days:
        nothing(
            f"No day is scored yet. Score some in Dagster ({IN_DAGSTER}) or so, then look again.",
            "make demo\nanomaly-assets backfill --from ... --to ...",
        )
    first, last = period(days)
    chosen = within(days, first, last)
    if not chosen:
        nothing(
            f"No day from {first} to {last} is scored; the scored days are {days[0]} to {days[-1]}. Choose another "
            f"period in the sidebar, or score these days in Dagster ({IN_DAGSTER}) or so:",
            f"anomaly-assets backfill --from {first} --to {last}",
        )
    prepare(chosen)
    return Selection(chosen, _organisations(chosen))


def prepare(days: Sequence[date]) -> None:
    """Make the digests that these days lack, telling how far it is."""
    digests = deployment().digests
    missing = digests.missing(days)
    if not missing:
        return
    bar = st.progress(0.0)
    for place, day in enumerate(missing):
        bar.progress(place / len(missing), text=f"reading {day} for the first time ({place + 1} of {len(missing)})")
        digests.make(day)
    bar.empty()


def period(days: Sequence[date]) -> tuple[date, date]:
    """First and last day of the sidebar: of the address, else as chosen before, else the last of ``days``."""
    state, asked = st.session_state, tuple(st.query_params.get(name) for name in ("from", "to"))
    known = state.get("period-kept", (days[max(len(days) - DAYS_SHOWN_FIRST, 0)], days[-1]))
    if any(asked) and asked != state.get("period-told"):  # a link led here, not a choice of this screen
        named = [day_named(text or "") or kept for text, kept in zip(asked, known, strict=True)]
        state["period"] = (_near(min(named), days), _near(max(named), days))
        _say_what_is_wrong(asked, state["period"])
    elif "period" not in state:
        state["period"] = known
    low, high = min(days[0], *state["period"]), max(days[-1], *state["period"])
    value: Any = st.sidebar.date_input("Period (UTC days)", key="period", min_value=low, max_value=high)
    first, last = value if isinstance(value, tuple) and len(value) == 2 else known
    state["period-kept"], state["period-told"] = (first, last), (str(first), str(last))
    st.query_params.update({"from": str(first), "to": str(last)})
    return first, last


def _say_what_is_wrong(asked: Sequence[str | None], taken: tuple[date, date]) -> None:
    """Of the ``from`` and ``to`` of an address, when they are not what is taken."""
    shown_instead, named = f"{taken[0]} to {taken[1]}", [day_named(text or "") for text in asked]
    no_dates = [text for text, day in zip(asked, named, strict=True) if text and day is None]
    if no_dates:
        said = " and ".join(map(repr, no_dates))
        misread(f"The address says {said}, which is no day such as 2024-07-01", shown_instead)
    elif named[0] and named[1] and named[0] > named[1]:
        misread(f"The period of the address begins ({named[0]}) after its end ({named[1]})", shown_instead)
    elif any(day is not None and day not in taken for day in named):
        misread("The period of the address lies far from all days that are scored", shown_instead)


def _near(day: date, days: Sequence[date]) -> date:
    """``day``, or the furthest before and after ``days`` that is looked at."""
    return min(max(day, days[0] - BEYOND), days[-1] + BEYOND)


def _organisations(days: Sequence[date]) -> tuple[str | None, ...] | None:
    names, state, asked = _organisation_names(days), st.session_state, st.query_params.get_all("org")
    if asked and asked != state.get("organisations-told"):
        state["organisations"] = asked
        if unknown := [name for name in asked if name not in names]:
            left = [name for name in asked if name in names]
            misread(
                f"No transaction of these days is of {', '.join(map(repr, unknown))}, which the address asks for",
                ", ".join(left) if left else "every organisation",
            )
    known = state.get("organisations", state.get("organisations-kept", []))
    state["organisations"] = [name for name in known if name in names]
    chosen = st.sidebar.multiselect("Organisations", names, key="organisations", placeholder="all")
    state["organisations-kept"] = state["organisations-told"] = list(chosen)
    st.query_params["org"] = chosen
    if not chosen:
        return None
    return tuple(None if name == WITHOUT_ORGANISATION else name for name in chosen)


def _organisation_names(days: Sequence[date]) -> list[str]:
    cells = deployment().digests.read("counts", days, ["org_name"])
    names = cells.column("org_name").unique().to_pylist() if cells.num_rows else []
    return sorted(map(organisation, names), key=str.casefold)


def organisation(name: str | None) -> str:
    """How an organisation is named on screens and in addresses."""
    return WITHOUT_ORGANISATION if name is None else name


def exports(table: pa.Table | Callable[[], pa.Table], name: str) -> None:
    """Buttons that save the table (or what makes it when it is asked for) as CSV and as parquet."""
    saved = (("CSV", "csv", "text/csv", to_csv), ("Parquet", "parquet", "application/vnd.apache.parquet", to_parquet))
    with st.container(horizontal=True):
        for label, ending, kind, make in saved:
            st.download_button(
                label,
                partial(_file, make, table),
                f"{file_name(name)}.{ending}",
                kind,
                key=f"{name}-{ending}",
                icon=":material/download:",
                on_click="ignore",  # a new run would take back what is being fetched
            )


def file_name(text: str) -> str:
    """``text`` as a file may be called anywhere."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text)[:60]


def _file(make: Callable[[pa.Table], bytes], table: pa.Table | Callable[[], pa.Table]) -> bytes:
    return make(table() if callable(table) else table)
