"""Logging in: what the true connector sends for each way to authenticate, and secrets that are wrong or missing."""

import base64
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake_stand_in import CANARY, StandIn

from anomaly_assets.adapters.snowflake_faults import Fault, fault_of
from anomaly_assets.adapters.sources.snowflake_configured import snowflake_source
from anomaly_assets.domain.errors import SettingsError, SourceError
from anomaly_assets.settings import load_settings

PASSPHRASE = "canary-passphrase"  # noqa: S105 (of a key made here)


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private key with a passphrase, which is in KEY_PASSPHRASE."""
    monkeypatch.setenv("KEY_PASSPHRASE", PASSPHRASE)
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(PASSPHRASE.encode()),
    )
    path = tmp_path / "key.p8"
    path.write_bytes(pem)
    return path


def log_in(stand_in: StandIn, **changes: Any) -> dict[str, Any]:
    """What a login sent."""
    settings = {"source.kind": "snowflake", "source.snowflake.table": "A.B.C", "first_day": date(2024, 3, 1)}
    source = snowflake_source(load_settings(environ={}, overrides=stand_in.settings(**settings, **changes)))
    with pytest.raises(SourceError, match=r"A\.B\.C"):
        source.coverage()
    (login,) = stand_in.seen("^login$")
    data: dict[str, Any] = login["data"]
    return data


def test_a_password_is_sent_for_the_user_and_role_that_are_set(stand_in: StandIn) -> None:
    data = log_in(stand_in, **{"snowflake.role": "READER"})
    assert (data["LOGIN_NAME"], data["PASSWORD"]) == ("reader", CANARY)


def test_a_key_pair_sends_a_signed_token_and_neither_key_nor_passphrase(stand_in: StandIn, key: Path) -> None:
    data = log_in(
        stand_in,
        **{
            "snowflake.password_env": None,
            "snowflake.private_key_path": key,
            "snowflake.private_key_passphrase_env": "KEY_PASSPHRASE",
        },
    )
    assert data["AUTHENTICATOR"] == "SNOWFLAKE_JWT"
    claims = data["TOKEN"].split(".")[1]
    subject = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"]
    assert subject == "STAND-IN.READER"
    assert PASSPHRASE not in json.dumps(data)
    assert "PASSWORD" not in data


def test_an_oauth_token_is_sent_as_such(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "canary-token")
    data = log_in(stand_in, **{"snowflake.password_env": None, "snowflake.oauth_token_env": "TOKEN"})
    assert (data["AUTHENTICATOR"], data["TOKEN"]) == ("OAUTH", "canary-token")


@pytest.mark.parametrize(
    ("passphrase", "content", "message"),
    [
        ("wrong", None, "the private key cannot be read"),
        ("", None, "the environment variable KEY_PASSPHRASE is not set"),
        (PASSPHRASE, b"no key", "the private key cannot be read"),
        (PASSPHRASE, b"", "the private key cannot be read"),
    ],
)
def test_a_key_that_cannot_be_read_is_a_setting_to_correct(
    stand_in: StandIn,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    passphrase: str,
    content: bytes | None,
    message: str,
) -> None:
    monkeypatch.setenv("KEY_PASSPHRASE", passphrase)
    if content is not None:
        key.write_bytes(content)
    assert_refused(stand_in, key, message)


def test_a_key_that_is_not_there_is_a_setting_to_correct(stand_in: StandIn, key: Path) -> None:
    key.unlink()
    assert_refused(stand_in, key, "the private key cannot be read")


def assert_refused(stand_in: StandIn, key: Path, message: str) -> None:
    settings = stand_in.settings(**{
        "source.kind": "snowflake",
        "source.snowflake.table": "A.B.C",
        "snowflake.password_env": None,
        "snowflake.private_key_path": key,
        "snowflake.private_key_passphrase_env": "KEY_PASSPHRASE",
    })  # fmt: skip
    with pytest.raises(SettingsError, match=message) as raised:
        snowflake_source(load_settings(environ={}, overrides=settings)).coverage()
    assert PASSPHRASE not in str(raised.value)
    assert stand_in.seen() == []


def test_a_secret_written_in_place_of_its_variable_s_name_is_not_repeated() -> None:
    with pytest.raises(SettingsError, match=r"setting snowflake\.password_env") as raised:
        load_settings(environ={}, overrides={"snowflake.password_env": CANARY})
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "errno", "sqlstate", "passes"),
    [
        ("OperationalError", 250001, "08001", True),
        ("DatabaseError", 390999, "08001", False),  # a login that was refused, whatever its state says
        ("ProgrammingError", 1, "57014", True),
        ("ProgrammingError", 1, "42000", False),
        ("ProgrammingError", None, None, False),
        ("ServiceUnavailableError", None, None, True),
        ("ForbiddenError", 290403, None, False),
        ("ProgrammingError", 2003, "42S02", False),
    ],
)
def test_faults_are_told_apart_by_number_then_state_then_kind(
    kind: str, errno: int | None, sqlstate: str | None, passes: bool
) -> None:
    assert fault_of(kind, errno, sqlstate, "no").passes is passes


def test_a_fault_is_told_in_one_short_line() -> None:
    fault = fault_of("ProgrammingError", 604, None, "a\nb" + "c" * 1000)
    assert fault == Fault(True, "ProgrammingError 604: a b" + "c" * 297, "find out who cancelled the query")
