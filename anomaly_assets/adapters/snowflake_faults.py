"""What an error of Snowflake's connector means: whether the same again may help, and what to do."""

from dataclasses import dataclass

_NO_WAREHOUSE = "start the warehouse (or set it to resume by itself), and check that the role may use it"
_CREDENTIALS = "renew the password, key or token of snowflake.user, and check that its role is granted to it"

_PASSES = {
    603: "",  # internal error
    604: "find out who cancelled the query",
    606: _NO_WAREHOUSE,
    607: _NO_WAREHOUSE,
    609: _NO_WAREHOUSE,
    625: "another transaction holds the table",
    630: "raise snowflake.query_timeout_seconds or use a larger warehouse",
    90073: "the resource monitor suspended the warehouse: raise its quota or wait for its next period",
    390111: "",  # session gone
    390112: "",  # session expired
    390114: "",  # its token expired
    250001: "",
    250002: "",
    250003: "",
    250005: "",
    251011: "",
    251012: "",
    252006: "",
    252007: "",
    252010: "",
    252013: "",
}
"""Errors that may pass by themselves, with what helps."""
_STAYS = {
    2003: "check the table's name, and that the role may read it",
    2043: "check the names in source.snowflake",
    904: "check the column names in source.snowflake",
    1003: "",
    3001: "grant the role what it needs, or set another snowflake.role",
    250004: "",
    250007: "",
    251001: "",
    251005: "",
    251006: "",
    251007: "",
    251008: "deliver the private key as PEM, with its passphrase if it has one",
    390100: _CREDENTIALS,
    390144: "the key expired or is not the user's public key, or this machine's clock is wrong: register a new key",
    390189: _CREDENTIALS,
    390303: _CREDENTIALS,
    390318: _CREDENTIALS,
    290403: "check snowflake.account, and that its network policy admits this machine",
    290404: "check snowflake.account",
}
_PASSING_STATES = ("08", "40", "57", "XX")
"""Classes of SQL states: connection, rollback, operator intervention, internal."""
_PASSING_KINDS = {
    "BadGatewayError",
    "GatewayTimeoutError",
    "InternalServerError",
    "OperationalError",
    "OtherHTTPRetryableError",
    "RequestExceedMaxRetryError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "TooManyRequests",
}
MAX_CHARACTERS = 300


@dataclass(frozen=True)
class Fault:
    """A fault of the connector.

    Parameters
    ----------
    passes : whether the same again may help
    found : what the connector said, one line
    remedy : what to do, empty when nothing is known
    """

    passes: bool
    found: str
    remedy: str


def fault_of(kind: str, errno: int | None, sqlstate: str | None, text: str) -> Fault:
    """Judge an error by its number, else by its SQL state, else by the name of its class."""
    found = f"{kind} {errno or ''}".strip() + f": {_one_line(text)}"
    if errno in _PASSES:
        return Fault(True, found, _PASSES[errno])
    if errno in _STAYS:
        return Fault(False, found, _STAYS[errno])
    if errno is not None and 390_000 <= errno < 391_000:
        return Fault(False, found, _CREDENTIALS)
    if sqlstate and sqlstate[:2] in _PASSING_STATES:
        return Fault(True, found, "")
    return Fault(kind in _PASSING_KINDS, found, "")


def _one_line(text: str) -> str:
    """Without line breaks and cut: a message may repeat the statement."""
    return " ".join(text.split())[:MAX_CHARACTERS]
