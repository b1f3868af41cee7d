"""What can be set: how many times the usual amount is large."""

import os

from anomaly_assets.domain.identity import digest_of
from anomaly_assets.settings import Settings

VARIABLE, USUALLY = "TOY_TIMES", 20


def times() -> int:
    """An amount is large that is so many times the usual one."""
    return int(os.environ.get(VARIABLE, USUALLY))


def settings_id(_: Settings | None = None) -> str:
    """The id of the settings that judgements are made with."""
    return digest_of({"times": times()})
