"""How a session with a Snowflake account is opened: settings and named secrets become the connector's arguments."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.identity import Json
from anomaly_assets.settings.snowflake import SnowflakeSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_TAG_CHARACTERS = 2000


@dataclass(frozen=True)
class Patience:
    """How often a fault that may pass is met again, and how long is waited before: doubled each time, in seconds."""

    retries: int
    wait_seconds: float


def require_complete(settings: SnowflakeSettings) -> None:
    """Raise ``SettingsError`` unless account, user and exactly one way to prove it are set."""
    missing = [name for name in ("account", "user") if getattr(settings, name) is None]
    if missing:
        raise SettingsError(f"not set: {', '.join(f'snowflake.{name}' for name in missing)}", remedy="set it")
    ways = ("private_key_path", "oauth_token_env", "password_env")
    chosen = [name for name in ways if getattr(settings, name) is not None]
    if len(chosen) != 1:
        raise SettingsError(
            f"ways to authenticate that are set: {', '.join(chosen) or 'none'}",
            expected=f"exactly one of {', '.join(f'snowflake.{name}' for name in ways)}",
        )
    if settings.private_key_passphrase_env and not settings.private_key_path:
        raise SettingsError("snowflake.private_key_passphrase_env is set without snowflake.private_key_path")
    if settings.unencrypted_loopback and settings.host not in LOOPBACK:
        raise SettingsError(
            f"snowflake.unencrypted_loopback is set for the host {settings.host}",
            expected=f"one of {', '.join(LOOPBACK)}",
            remedy="leave it out: secrets and rows must not travel in the clear",
        )


def plain_arguments(settings: SnowflakeSettings) -> dict[str, Json]:
    """The connector's arguments that are no secrets and that no caller may forget."""
    chosen: dict[str, Json] = {
        "account": settings.account,
        "user": settings.user,
        "role": settings.role,
        "warehouse": settings.warehouse,
        "login_timeout": settings.login_timeout_seconds,
        "network_timeout": settings.network_timeout_seconds,
        "timezone": "UTC",
        "paramstyle": "qmark",
        "autocommit": True,
        **extra_arguments(settings),
    }
    return {name: value for name, value in chosen.items() if value is not None}


def extra_arguments(settings: SnowflakeSettings) -> dict[str, Json]:
    """Those of them that Dagster's resource has no field for."""
    chosen: dict[str, Json] = {
        "host": settings.host,
        "port": settings.port,
        "protocol": "http" if settings.unencrypted_loopback else None,
        # amounts arrive as exact decimals, which are then rounded once
        "arrow_number_to_decimal": True,
        "session_parameters": {
            "STATEMENT_TIMEOUT_IN_SECONDS": settings.query_timeout_seconds,
            "CLIENT_TELEMETRY_ENABLED": False,
        },
    }
    return {name: value for name, value in chosen.items() if value is not None}


def arguments_with_secrets(settings: SnowflakeSettings, environ: Mapping[str, str] = os.environ) -> dict[str, Json]:
    """Everything the connector needs to log in: never printed, never stored.

    Raises ``SettingsError`` naming the variable that is not set.
    """
    require_complete(settings)
    arguments = plain_arguments(settings)
    if settings.private_key_path:
        arguments["private_key_file"] = str(settings.private_key_path)
        if settings.private_key_passphrase_env:
            arguments["private_key_file_pwd"] = secret(environ, settings.private_key_passphrase_env)
    if settings.oauth_token_env:
        arguments |= {"authenticator": "oauth", "token": secret(environ, settings.oauth_token_env)}
    if settings.password_env:
        arguments["password"] = secret(environ, settings.password_env)
    return arguments


def secret(environ: Mapping[str, str], name: str) -> str:
    """The value of an environment variable that must be set."""
    if not environ.get(name):
        raise SettingsError(f"the environment variable {name} is not set", remedy="set it where this runs")
    return environ[name]


def connect(arguments: Mapping[str, Any], tag: str) -> Any:
    """Log in; queries of the session carry ``tag`` in Snowflake's history. The connector is imported here.

    Raises ``SettingsError`` without the extra, and otherwise what the connector raises.
    """
    try:
        import snowflake.connector  # noqa: PLC0415  costs a second and 100 MB: only where Snowflake is used
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"Snowflake is configured but {error.name} is not installed", remedy="run `make snowflake`"
        ) from None
    session = {**arguments.get("session_parameters", {}), "QUERY_TAG": tag[:MAX_TAG_CHARACTERS]}
    return snowflake.connector.connect(**{**arguments, "session_parameters": session})
