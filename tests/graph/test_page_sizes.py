"""What a run records in Dagster of a day stays small, however many rows or days there are to tell of."""

from pathlib import Path

from dagster_shared.serdes import serialize_value

from anomaly_assets.assets.metadata import days_table
from anomaly_assets.jobs import INGEST
from graph.deployment import Deployment
from graph.invented import BUSY, DAY, days_from, deliver, extra, ordinary_day

LARGEST_EVENT, LARGEST_RUN = 100_000, 250_000
LONGEST_WINDOW, LARGEST_MANIFEST = 3_660, 350_000
"""Characters, as Dagster keeps an event."""
LONG = "y" * 400


def test_a_day_with_ten_thousand_rows_in_quarantine_records_as_little_as_any(own: Deployment, deliveries: Path) -> None:
    refused = [extra(DAY, LONG, float("nan"), name=f"{LONG}{number}") for number in range(10_000)]
    repeated = [extra(DAY, BUSY[1], 5.0, name="repeated")] * 10_000
    deliver(deliveries, DAY, [*ordinary_day(DAY), *refused, *repeated])
    result = own.run(INGEST, DAY)
    assert result.success
    assert own.seal("raw_transactions", DAY).counts["n_quarantined"] >= len(refused)
    events = [serialize_value(entry) for entry in own.instance.all_logs(result.run_id)]
    assert max(map(len, events)) < LARGEST_EVENT
    assert sum(map(len, events)) < LARGEST_RUN


def test_the_manifest_of_the_longest_window_is_shown_whole_and_stays_under_a_megabyte() -> None:
    shown = serialize_value(days_table((str(day), "a" * 64) for day in days_from(DAY, LONGEST_WINDOW)))
    assert shown.count("a" * 64) == LONGEST_WINDOW
    assert len(shown) < LARGEST_MANIFEST
