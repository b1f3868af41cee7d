"""Addresses of the dashboard's pages bring every id and day to the page as it is."""

import re
from datetime import date
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from anomaly_assets.domain.page_links import flag_page, operations_page, period_page, wallet_page

ADDRESS = "http://127.0.0.1:8501"
DAY = date(2024, 3, 5)
IDS = st.text(min_size=1, max_size=300)


def arguments(link: str) -> dict[str, list[str]]:
    """What a server takes from the link's query."""
    return parse_qs(urlsplit(link).query, strict_parsing=True)


def test_links_are_those_the_dashboard_understands() -> None:
    assert flag_page(ADDRESS, "t1", DAY) == f"{ADDRESS}/?page=flag&tx=t1&day=2024-03-05"
    assert wallet_page(ADDRESS, "W 1", DAY) == f"{ADDRESS}/?page=wallet&wallet=W%201&day=2024-03-05"
    assert period_page(ADDRESS, "overview", DAY, DAY) == f"{ADDRESS}/?page=overview&from=2024-03-05&to=2024-03-05"
    assert operations_page(ADDRESS) == f"{ADDRESS}/?page=operations"


def test_an_address_may_end_with_a_slash_and_hold_a_path() -> None:
    assert operations_page("https://example.org/anomalies/") == "https://example.org/anomalies/?page=operations"


@given(IDS)
def test_ids_of_any_characters_arrive(tx_id: str) -> None:
    for link, name in ((flag_page(ADDRESS, tx_id, DAY), "tx"), (wallet_page(ADDRESS, tx_id, DAY), "wallet")):
        page = {"tx": "flag", "wallet": "wallet"}[name]
        assert arguments(link) == {"page": [page], name: [tx_id], "day": ["2024-03-05"]}
        assert urlsplit(link).fragment == ""


@given(IDS)
def test_nothing_in_an_id_ends_a_link_in_markdown_or_a_cell_of_a_table(tx_id: str) -> None:
    assert re.fullmatch(
        r"http://127\.0\.0\.1:8501/\?page=flag&tx=[A-Za-z0-9_.~%-]+&day=2024-03-05", flag_page(ADDRESS, tx_id, DAY)
    )


@given(st.dates(), st.dates())
def test_days_arrive(first: date, last: date) -> None:
    found = arguments(period_page(ADDRESS, "timeline", first, last))
    assert found == {"page": ["timeline"], "from": [first.isoformat()], "to": [last.isoformat()]}
