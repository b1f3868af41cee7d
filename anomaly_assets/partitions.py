"""The daily partitions and the trailing window: the only place dates come from."""

from datetime import date

import dagster as dg


def daily_partitions(first_day: date) -> dg.DailyPartitionsDefinition:
    """One partition per finished UTC day from ``first_day`` on."""
    return dg.DailyPartitionsDefinition(start_date=first_day.isoformat(), timezone="UTC")


def trailing_window_mapping(window_days: int) -> dg.TimeWindowPartitionMapping:
    """Day D depends on the days [D - window_days, D): never on D itself."""
    return dg.TimeWindowPartitionMapping(start_offset=-window_days, end_offset=-1)
