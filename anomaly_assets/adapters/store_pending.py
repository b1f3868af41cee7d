"""What the model store is still to be told, kept in the home until it was: it may not answer when something happens.

``{home}/store_pending/models.json`` says which models are not served and why, ``erasure-{mark[:16]}`` that models of
an erased wallet may be in the store yet. Each is a file of its own, so that runs of several days need no lock.
"""

import json
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.domain.errors import CorruptFile, require_known_format

FORMAT_VERSION = 1
_MODELS, _ERASURE = "models.json", "erasure-"


@dataclass(frozen=True)
class UnservedModels:
    """Models that could not be served.

    Parameters
    ----------
    day, generation : which training
    reason : why not, as the error said it
    at : when it was tried, ISO 8601
    """

    day: date
    generation: int
    reason: str
    at: str

    @property
    def sentence(self) -> str:
        """The same for people."""
        return f"the models of {self.day} could not be served ({self.at[:19].replace('T', ' ')} UTC): {self.reason}"


@dataclass(frozen=True)
class StorePending:
    """What waits for the store, in the folder ``root``."""

    root: Path

    def models(self) -> UnservedModels | None:
        """Models that are to be served yet; None when none are known. Raises ``CorruptFile``."""
        path = self.root / _MODELS
        try:
            value = json.loads(path.read_bytes())
            require_known_format(f"store_pending/{_MODELS}", value["format"], FORMAT_VERSION)
            day, generation = date.fromisoformat(value["day"]), int(value["generation"])
            return UnservedModels(day, generation, str(value["reason"]), str(value["at"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptFile(
                f"store_pending/{_MODELS} of the home cannot be read: {error!r}",
                remedy="delete it, then: anomaly-assets store publish",
            ) from None

    def keep_models(self, unserved: UnservedModels) -> None:
        """Record that models are not served."""
        value = {"format": FORMAT_VERSION, **asdict(unserved), "day": unserved.day.isoformat()}
        write_atomically(self.root / _MODELS, json.dumps(value, sort_keys=True).encode())

    def models_are_served(self, day: date) -> None:
        """Forget models that were to be served, of ``day`` or before it: these, or newer ones, are served."""
        try:
            unserved = self.models()
        except CorruptFile:
            unserved = None
        if unserved is None or unserved.day <= day:
            (self.root / _MODELS).unlink(missing_ok=True)

    def erasures(self) -> set[str]:
        """How the marks of wallets begin whose models the store is to forget yet."""
        return {path.name.removeprefix(_ERASURE) for path in self.root.glob(f"{_ERASURE}*")}

    def keep_erasure(self, mark: str) -> None:
        """Record, durably, that the store is to forget a wallet."""
        write_atomically(self.root / f"{_ERASURE}{begin_of(mark)}", b"", locked=True)

    def erasures_are_done(self, begins: set[str]) -> None:
        """Forget wallets that the store has forgotten."""
        for begin in begins:
            (self.root / f"{_ERASURE}{begin}").unlink(missing_ok=True)

    def sentences(self) -> list[str]:
        """All of it for people; empty when nothing waits. Raises ``CorruptFile``."""
        unserved, erased = self.models(), self.erasures()
        return [
            *([unserved.sentence] if unserved else []),
            *([f"erased wallets that are to be taken out of it yet: {len(erased):,}"] if erased else []),
        ]


def begin_of(mark: str) -> str:
    """How a wallet's mark begins, as names of files hold it."""
    return mark[:16]
