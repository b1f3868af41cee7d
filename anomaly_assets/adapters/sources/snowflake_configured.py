"""The ``snowflake`` source that settings describe."""

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from anomaly_assets.adapters.snowflake_account import Patience, arguments_with_secrets, connect, require_complete
from anomaly_assets.adapters.sources.snowflake import SnowflakeSource, SnowflakeTable
from anomaly_assets.adapters.sources.snowflake_sql import Condition, Operator
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.settings import Settings
from anomaly_assets.settings.snowflake_table import SnowflakeFilter

TAG = "anomaly_assets"


def snowflake_source(
    settings: Settings, *, log_in: Callable[[], Any] | None = None, environ: Mapping[str, str] = os.environ
) -> SnowflakeSource:
    """The source; it connects when it is first asked.

    ``log_in`` opens a session; by default one with the settings' own secrets, taken from ``environ`` when it opens.

    Raises ``SettingsError`` when something is not set or cannot be.
    """
    account, table = settings.snowflake, settings.source.snowflake
    require_complete(account)
    if account.account is None or table.table is None:
        raise SettingsError("source.kind is snowflake but source.snowflake.table is not set", remedy="set it")
    described = SnowflakeTable(
        account.account,
        table.table,
        table.columns,
        conditions_of(table.filter),
        table.time_zone,
        settings.border.ambiguous_times,
    )
    return SnowflakeSource(
        described,
        log_in or partial(_log_in, settings, environ),
        Patience(account.retries, account.retry_wait_seconds),
        first_day=settings.first_day,
        slice_rows=table.slice_rows,
    )


def conditions_of(parts: Sequence[SnowflakeFilter]) -> list[Condition]:
    """The parts of a filter as they are bound."""
    return [Condition(part.column, Operator(part.operator), part.values) for part in parts]


def tag_of(run_id: str | None) -> str:
    """What the queries of a run carry in Snowflake's history."""
    return f"{TAG} run {run_id}" if run_id else TAG


def _log_in(settings: Settings, environ: Mapping[str, str]) -> Any:
    return connect(arguments_with_secrets(settings.snowflake, environ), TAG)
