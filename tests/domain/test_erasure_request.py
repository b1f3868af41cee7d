"""What may be kept of who has a wallet erased and why."""

from dataclasses import replace

import pytest

from anomaly_assets.domain.erasure_request import LONGEST, ErasureRequest
from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.forgetting import Forgotten

REQUEST = ErasureRequest("Zoë Ω, legal", "the contract of 2023 ended", "https://tickets.test/7")


@pytest.mark.parametrize("name", ["by", "reason", "ticket"])
@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "\x1b[31mred", "\udcff", "x" * (LONGEST + 1)])
def test_a_text_is_one_printable_line_that_says_something(name: str, text: str) -> None:
    with pytest.raises(SettingsError, match=f"the '{name}' of an erasure"):
        replace(REQUEST, **{name: text})


def test_a_text_that_names_what_goes_is_refused_and_not_repeated() -> None:
    REQUEST.require_unnamed(Forgotten({"w7"}))
    for reason in ("w7 left", "(w7)", "https://tickets.test/w7", "W7, by letter"):
        with pytest.raises(SettingsError, match="names the wallet or one of its transactions") as refused:
            replace(REQUEST, reason=reason).require_unnamed(Forgotten({"w7"}))
        assert "w7" not in str(refused.value).casefold()
    replace(REQUEST, reason="w70 stays").require_unnamed(Forgotten({"w7"}))
