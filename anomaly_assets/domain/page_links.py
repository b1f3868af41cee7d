"""Addresses of pages, for whoever links to them: in the dashboard, ids and days are arguments of the address."""

from datetime import date
from urllib.parse import quote, urlencode


def flag_page(address: str, tx_id: str, day: date) -> str:
    """The page of one scored transaction."""
    return _page(address, "flag", tx=tx_id, day=day.isoformat())


def wallet_page(address: str, wallet_id: str, day: date) -> str:
    """The page of a wallet, as of a scored day."""
    return _page(address, "wallet", wallet=wallet_id, day=day.isoformat())


def period_page(address: str, page: str, first: date, last: date) -> str:
    """A page about the days from ``first`` to ``last``, both included."""
    return _page(address, page, **{"from": first.isoformat(), "to": last.isoformat()})


def operations_page(address: str) -> str:
    """The page of what is stored, served and stale now."""
    return _page(address, "operations")


def partition_page(asset: str, day: date, *, key_prefix: str = "") -> str:
    """Path of the page of one partition in Dagster's UI; ``key_prefix`` as the settings give it."""
    key = f"{key_prefix}/{asset}" if key_prefix else asset
    return f"/assets/{key}?view=partitions&partition={day.isoformat()}"


def _page(address: str, page: str, **arguments: str) -> str:
    """All but letters, digits and ``_.-~`` is percent-encoded: nothing in an id ends a link or a table's cell.

    Pages are arguments of the root: there Streamlit finds its own files, and from below it first looks in vain.
    """
    return f"{address.rstrip('/')}/?{urlencode({'page': page, **arguments}, quote_via=quote)}"
