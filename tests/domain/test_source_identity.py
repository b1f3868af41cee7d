"""Which source it is, and what of that is only where it lies."""

import pytest

from anomaly_assets.domain.identity import JsonObject
from anomaly_assets.domain.source_identity import differences, differs_in_place_only, place_of

FILES: JsonObject = {
    "kind": "files",
    "path": "/a/cards.parquet",
    "columns": {"tx_id": "id", "amount": "sum"},
    "time_zone": "UTC",
}
TABLE: JsonObject = {"kind": "snowflake", "account": "a-b", "table": "DB.PUBLIC.T", "time_zone": "UTC"}
SYNTHETIC: JsonObject = {"kind": "synthetic", "seed": 7, "wallets": 200}


@pytest.mark.parametrize(
    ("found", "wanted", "told"),
    [
        (FILES, {**FILES, "path": "/b/cards.parquet"}, ("path '/a/cards.parquet'", "path '/b/cards.parquet'")),
        (FILES, {**FILES, "columns": {"tx_id": "nr", "amount": "sum"}}, ("columns.tx_id 'id'", "columns.tx_id 'nr'")),
        (FILES, {**FILES, "epoch_unit": "ms"}, ("no epoch_unit", "epoch_unit 'ms'")),
        (FILES, {**SYNTHETIC, "first_day": "2024-01-01"}, ("no first_day, kind 'files'", None)),
        (SYNTHETIC, {"wallets": 200, "kind": "synthetic", "seed": 8}, ("seed 7", "seed 8")),
        (SYNTHETIC, dict(reversed([*SYNTHETIC.items()])), ("", "")),
    ],
)
def test_only_what_differs_is_told(found: JsonObject, wanted: JsonObject, told: tuple[str, str | None]) -> None:
    mine, theirs = differences(found, wanted)
    assert mine == told[0]
    assert theirs == (told[1] if told[1] is not None else "first_day '2024-01-01', kind 'synthetic'")


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        (FILES, {**FILES, "path": "/b"}, True),
        (FILES, {**FILES, "path": "/b", "time_zone": "Europe/Paris"}, False),
        (FILES, {**FILES, "columns": {}}, False),
        (TABLE, {**TABLE, "account": "c-d", "table": "DB.OTHER.T"}, True),
        (TABLE, {**TABLE, "filter": []}, False),
        (SYNTHETIC, {**SYNTHETIC, "seed": 8}, False),
        (FILES, TABLE, False),
    ],
)
def test_a_place_is_all_that_may_differ(found: JsonObject, wanted: JsonObject, expected: bool) -> None:
    assert differs_in_place_only(found, wanted) is expected


def test_a_source_that_is_computed_lies_nowhere() -> None:
    sources: list[JsonObject] = [SYNTHETIC, {}, FILES]
    assert [place_of(source) for source in sources] == [{}, {}, {"path": "/a/cards.parquet"}]
