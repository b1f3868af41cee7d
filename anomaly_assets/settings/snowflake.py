"""Settings of a Snowflake account."""

from typing import Annotated

from annotated_types import Ge, Le, Len
from pydantic import Field

from anomaly_assets.settings.section import Location, Section

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z_][A-Z0-9_]{0,127}$")]


class SnowflakeSettings(Section):
    """The account, and how it is spoken to. Secrets are named, never written here."""

    account: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")] | None = Field(
        None, description="Snowflake account identifier (`organisation-account`); needs the extra `snowflake`."
    )
    user: Annotated[str, Len(1, 255)] | None = Field(None, description="Snowflake user.")
    role: Annotated[str, Len(1, 255)] | None = Field(None, description="Role; none: the user's default.")
    warehouse: Annotated[str, Len(1, 255)] | None = Field(None, description="Warehouse; none: the user's default.")
    private_key_path: Location | None = Field(
        None, description="File of the private key (PEM), relative to the settings file, for key-pair authentication."
    )
    private_key_passphrase_env: EnvironmentName | None = Field(
        None, description="Name of the environment variable that holds the key's passphrase; none: no passphrase."
    )
    oauth_token_env: EnvironmentName | None = Field(
        None, description="Name of the environment variable that holds an OAuth access token."
    )
    password_env: EnvironmentName | None = Field(
        None, description="Name of the environment variable that holds the password."
    )
    host: Annotated[str, Len(1, 255)] | None = Field(
        None, description="Host, where it is not the account's own (private link)."
    )
    port: Annotated[int, Ge(1), Le(65_535)] | None = Field(None, description="Port, where it is not 443.")
    unencrypted_loopback: bool = Field(
        default=False, description="Plain HTTP to a stand-in on this machine; refused for any other host."
    )
    login_timeout_seconds: Annotated[int, Ge(1)] = Field(60, description="Seconds before a login is given up.")
    network_timeout_seconds: Annotated[int, Ge(1)] = Field(
        300, description="Seconds before a request that gets no answer is given up."
    )
    query_timeout_seconds: Annotated[int, Ge(1), Le(604_800)] = Field(
        3600, description="Seconds after which Snowflake itself ends a query."
    )
    retries: Annotated[int, Ge(0), Le(20)] = Field(
        3, description="How often a query is sent again when that may help (network, suspended warehouse)."
    )
    retry_wait_seconds: Annotated[float, Ge(0), Le(600)] = Field(
        5.0, description="Seconds before the first of these tries; doubled before each further one."
    )
