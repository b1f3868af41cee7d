"""Looks at what changes by itself (the store, the lake's days), kept for some seconds for everybody who looks."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import streamlit as st

from anomaly_assets.adapters.store_provider import StoreProvider
from anomaly_assets.dashboard.shell import deployment
from anomaly_assets.doctor.examine import examine
from anomaly_assets.doctor.findings import Finding, Level
from anomaly_assets.domain.days import DayRange
from anomaly_assets.domain.due_days import Freshness
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.settings.family_settings import settings_ids
from anomaly_assets.views.freshness import freshness, newest_elsewhere
from anomaly_assets.views.partitions import partition_states
from anomaly_assets.views.store import StoreState, store_state

STORE_SECONDS, DAYS_SECONDS = 5, 30
"""How long an answer is kept, seconds."""


@st.cache_resource(ttl=STORE_SECONDS, show_spinner=False)
def store_now() -> StoreState:
    """The model store as it is now."""
    deployed = deployment()
    return store_state(deployed.home, StoreProvider.from_settings(deployed.settings.redis))


@st.cache_resource(ttl=STORE_SECONDS, show_spinner=False)
def scores_now() -> Freshness:
    """The newest scored day against the day that is due now."""
    deployed = deployment()
    settings = deployed.settings
    return Freshness(deployed.home.lake.newest_day(SCORED), settings.due(datetime.now(UTC)), settings.first_day)


def newest_now() -> pa.Table:
    """The newest days of everything, against the day that is due now."""
    deployed, due = deployment(), scores_now().due
    settings, home = deployed.settings, deployed.home
    elsewhere = newest_elsewhere(home, settings.published_scores.table)
    return freshness(home.lake, store_now(), due, settings.first_day, deployed.families, elsewhere=elsewhere)


@st.cache_resource(ttl=DAYS_SECONDS, show_spinner="examining the deployment")
def findings_now() -> list[Finding]:
    """What the probe of doctor finds that is not in order now."""
    deployed = deployment()
    found = examine(deployed.settings, lambda: deployed.home, deployed.families, now=datetime.now(UTC), quick=True)
    return [each for each in found if each.level is not Level.OK]


@st.cache_resource(ttl=DAYS_SECONDS, show_spinner="looking at the seals of these days")
def days_now(first: date, last: date) -> pa.Table:
    """The states of all partitions from ``first`` to ``last``, both included."""
    deployed = deployment()
    days = DayRange(first, last + timedelta(days=1))
    due = scores_now().due.day
    families, ids = deployed.families, settings_ids(deployed.settings, deployed.families)
    return partition_states(deployed.home, days, ids, families, deployed.current, due=due)
