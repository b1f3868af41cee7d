"""Snowflake as Dagster resources: dagster-snowflake's ``SnowflakeResource`` carries account, user and secrets.

Its package costs seconds and hundreds of megabytes to import, so the classes here are made when Snowflake is configured
and not before.
"""

import warnings
from datetime import date
from functools import cache, partial
from typing import Any

import dagster as dg
from pydantic import Field

from anomaly_assets.adapters.scores_table import ScoresTable
from anomaly_assets.adapters.snowflake_account import Patience, connect, extra_arguments, require_complete
from anomaly_assets.adapters.sources.snowflake import SnowflakeSource, SnowflakeTable
from anomaly_assets.adapters.sources.snowflake_configured import conditions_of, snowflake_source, tag_of
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.loading import kept_to_the_end
from anomaly_assets.resources.scores_table import ScoresTableResource
from anomaly_assets.resources.source import TransactionSourceResource, which_of_two
from anomaly_assets.settings import Settings
from anomaly_assets.settings.snowflake import SnowflakeSettings
from anomaly_assets.settings.snowflake_table import SnowflakeFilter

_SECRETS = {"password", "private_key", "private_key_password", "oauth_token"}


def account_resource(settings: SnowflakeSettings) -> dg.ConfigurableResource:
    """The account these settings describe; secrets are read from their variables when a run starts.

    Raises ``SettingsError`` when something is not set or the extra is not installed.
    """
    require_complete(settings)

    def of(variable: str | None) -> dg.EnvVar | None:
        return dg.EnvVar(variable) if variable else None

    return account_class()(
        account=settings.account,
        user=settings.user,
        role=settings.role,
        warehouse=settings.warehouse,
        password=of(settings.password_env),
        private_key_path=str(settings.private_key_path) if settings.private_key_path else None,
        private_key_password=of(settings.private_key_passphrase_env),
        authenticator="oauth" if settings.oauth_token_env else None,
        oauth_token=of(settings.oauth_token_env),
        login_timeout=settings.login_timeout_seconds,
        network_timeout=settings.network_timeout_seconds,
        timezone="UTC",
        paramstyle="qmark",
        autocommit=True,
        additional_snowflake_connection_args=extra_arguments(settings),
    )


def snowflake_source_resource(settings: Settings) -> TransactionSourceResource:
    """The table these settings describe. Raises ``SettingsError`` for one that cannot be read."""
    snowflake_source(settings)  # says now what is wrong
    table = settings.source.snowflake
    resource: TransactionSourceResource = source_class()(
        connection=account_resource(settings.snowflake),
        table=table.table,
        columns=table.columns,
        filter=[condition.model_dump(mode="json") for condition in table.filter],
        time_zone=table.time_zone,
        ambiguous_times=settings.border.ambiguous_times,
        first_day=settings.first_day.isoformat(),
        slice_rows=table.slice_rows,
        retries=settings.snowflake.retries,
        retry_wait_seconds=settings.snowflake.retry_wait_seconds,
    )
    return resource


def scores_table_resource(settings: Settings) -> ScoresTableResource:
    """The table these settings send scored days to. Raises ``SettingsError`` when it cannot be one."""
    account = settings.snowflake
    resource: ScoresTableResource = target_class()(
        connection=account_resource(account),
        table=settings.published_scores.table,
        retries=account.retries,
        retry_wait_seconds=account.retry_wait_seconds,
    )
    return resource


@cache
def account_class() -> Any:
    """dagster-snowflake's resource, with what it lacks: OAuth tokens by variable, and secrets that are never shown."""
    try:
        with kept_to_the_end(), warnings.catch_warnings():
            # how it declares its fields; named, so that nothing else is let through
            warnings.filterwarnings("ignore", message="Using extra keyword arguments on `Field` is deprecated")
            from dagster_snowflake import SnowflakeResource  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"Snowflake is configured but {error.name} is not installed", remedy="run `make snowflake`"
        ) from None

    class SnowflakeAccount(SnowflakeResource):
        """A Snowflake account. Its ``get_connection`` leaves connections open when something fails: use ``log_in``."""

        oauth_token: str | None = Field(default=None, description="OAuth access token, by environment variable")

        def log_in(self, tag: str) -> Any:
            """A connection that the caller closes; its queries carry ``tag``."""
            token = {"token": self.oauth_token} if self.oauth_token else {}
            return connect({**self._connection_args, **token}, tag)

        def __repr_args__(self) -> Any:
            return [(name, "***" if name in _SECRETS and value else value) for name, value in super().__repr_args__()]

    return SnowflakeAccount


@cache
def source_class() -> Any:
    """The source's resource class, over that of the account."""
    account: Any = account_class()

    class SnowflakeSourceResource(TransactionSourceResource):
        """A table of transactions in Snowflake."""

        connection: account
        table: str
        columns: dict[str, str]
        filter: list[dict[str, Any]]
        time_zone: str
        ambiguous_times: str
        first_day: str
        slice_rows: int
        retries: int
        retry_wait_seconds: float

        def open(self, run_id: str | None = None) -> SnowflakeSource:
            """The table; logs in when first asked for rows."""
            times = which_of_two(self.ambiguous_times)
            conditions = conditions_of([SnowflakeFilter.model_validate(part) for part in self.filter])
            return SnowflakeSource(
                SnowflakeTable(self.connection.account, self.table, self.columns, conditions, self.time_zone, times),
                partial(self.connection.log_in, tag_of(run_id)),
                Patience(self.retries, self.retry_wait_seconds),
                first_day=date.fromisoformat(self.first_day),
                slice_rows=self.slice_rows,
            )

    return SnowflakeSourceResource


@cache
def target_class() -> Any:
    """The resource class of the table that scored days go to, over that of the account."""
    account: Any = account_class()

    class SnowflakeScoresTableResource(ScoresTableResource):
        """A table of scored transactions in Snowflake."""

        connection: account
        table: str
        retries: int
        retry_wait_seconds: float

        def open(self, run_id: str) -> ScoresTable:
            """The table; logs in when first written to."""
            log_in = partial(self.connection.log_in, tag_of(run_id))
            return ScoresTable(self.table, log_in, Patience(self.retries, self.retry_wait_seconds))

    return SnowflakeScoresTableResource
