"""What the border refuses and by which rules: the vocabulary of ``domain.border`` and its parts."""

import difflib
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.identity import JsonObject

AmbiguousTimes = Literal["earlier", "later"]


class Refusal(StrEnum):
    """Why a row was refused. A row that breaks several rules has the reason that is declared first."""

    MISSING_TX_ID = "missing_tx_id"
    TX_ID_NOT_TEXT = "tx_id_not_text"
    TX_ID_TOO_LONG = "tx_id_too_long"
    TX_ID_HAS_CONTROL_CHARACTERS = "tx_id_has_control_characters"
    MISSING_WALLET_ID = "missing_wallet_id"
    WALLET_ID_NOT_TEXT = "wallet_id_not_text"
    WALLET_ID_TOO_LONG = "wallet_id_too_long"
    WALLET_ID_HAS_CONTROL_CHARACTERS = "wallet_id_has_control_characters"
    MISSING_TIME = "missing_time"
    INVALID_TIME = "invalid_time"
    NONEXISTENT_LOCAL_TIME = "nonexistent_local_time"
    OUTSIDE_DAY = "outside_day"
    MISSING_AMOUNT = "missing_amount"
    AMOUNT_NOT_A_NUMBER = "amount_not_a_number"
    AMOUNT_NOT_FINITE = "amount_not_finite"
    NEGATIVE_AMOUNT = "negative_amount"
    AMOUNT_TOO_LARGE = "amount_too_large"
    ORG_NAME_NOT_TEXT = "org_name_not_text"
    ORG_NAME_TOO_LONG = "org_name_too_long"
    ORG_NAME_HAS_CONTROL_CHARACTERS = "org_name_has_control_characters"
    CONFLICTING_ID = "conflicting_id"


REASONS = tuple(Refusal)
"""Reasons by their code, which is their rank: the smallest code of a row is its reason."""

FINE = 255
"""The code of a row that broke no rule."""

_CODES = {reason: code for code, reason in enumerate(REASONS)}


def first_reason(*broken: tuple[np.ndarray, Refusal]) -> np.ndarray:
    """uint8 codes of shape (n_rows,): the first rule whose mask is true, else ``FINE``."""
    codes = np.select([mask for mask, _ in broken], [_CODES[reason] for _, reason in broken], FINE)
    return np.asarray(codes, dtype=np.uint8)


@dataclass(frozen=True)
class BorderRules:
    """The rules of one source.

    Parameters
    ----------
    max_id_bytes : longest id or organisation, UTF-8 bytes
    max_amount : largest absolute amount, in the source's currency
    allow_negative : whether refunds (negative amounts) are kept
    time_zone : IANA zone of times that carry none
    ambiguous_times : which of two instants a local time means that the clocks showed twice
    """

    max_id_bytes: int = 256
    max_amount: float = 1e15
    allow_negative: bool = False
    time_zone: str = "UTC"
    ambiguous_times: AmbiguousTimes = "earlier"

    def recorded(self) -> JsonObject:
        """The rules as seals record them.

        A rule that came later says in the metadata of its field what is ``neutral``: the value that gives what was
        before it existed. It is left out there, so that no day is ingested again because of it.
        """
        told = {each.name: (getattr(self, each.name), each.metadata) for each in fields(self)}
        return {
            name: value for name, (value, about) in told.items() if "neutral" not in about or value != about["neutral"]
        }


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone ``name``. Raises ``SettingsError`` naming the nearest known zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = difflib.get_close_matches(name, sorted(available_timezones()), n=1, cutoff=0.0)
        raise SettingsError(
            f"unknown time zone {name!r}",
            expected="an IANA zone such as UTC or Europe/Paris",
            remedy=f"the nearest known zone is {near[0]}" if near else "install the package tzdata",
        ) from None
