"""Who has a wallet erased, why, and under which ticket: texts that stay, so they must not name what goes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from anomaly_assets.domain.errors import SettingsError
from anomaly_assets.domain.forgetting import Forgotten

LONGEST = 500
"""Characters of a text."""


@dataclass(frozen=True)
class ErasureRequest:
    """One request; raises ``SettingsError`` unless each text is one printable line of at most ``LONGEST`` characters.

    Parameters
    ----------
    by : who has it erased
    reason : why
    ticket : where the request is kept: a number, an address
    """

    by: str
    reason: str
    ticket: str

    def __post_init__(self) -> None:
        for name, text in self.as_json().items():
            if not text.strip() or not text.isprintable() or len(text) > LONGEST:
                raise SettingsError(
                    f"the {name!r} of an erasure is {'empty' if not text.strip() else 'no line that can be kept'}",
                    expected=f"one printable line of 1 to {LONGEST} characters",
                    remedy=f"say it with --{name}; it stays in the record of the erasure and in the publication log",
                )

    def as_json(self) -> Mapping[str, str]:
        """The texts by their names."""
        return asdict(self)

    def require_unnamed(self, gone: Forgotten) -> None:
        """Raise ``SettingsError`` when a text names what is to be forgotten: nothing takes it out again."""
        for name, text in self.as_json().items():
            if gone.named_in_any_case(text):
                raise SettingsError(
                    f"the {name!r} of the erasure names the wallet or one of its transactions",
                    expected="a text without their ids: it stays in the record and in the publication log, for good",
                    remedy="leave the id out; whoever may know it finds it under the ticket. Nothing was erased",
                )
