"""The erasures of a home: who had a wallet erased, when, why and under which ticket, as the publication log tells."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.publication_log import ERASURE, FIRST_RELEASE, LogEntry, kind_of
from anomaly_assets.adapters.store_pending import begin_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.identity import JsonObject

NOT_RECORDED = "not recorded"
"""What releases that did not ask left of who asked and why."""


class ErasureState(StrEnum):
    """How far an erasure is."""

    DONE = "done"
    UNFINISHED = "unfinished"
    """Its record is not as the log names it: it was begun, and has to be run again."""
    RECORD_GONE = "record gone"
    """The log names a record that is not there: rows of the wallet would be let in again."""
    STORE_WAITS = "store waits"
    """Done but for the model store, which could not be told: the next publication does that."""


@dataclass(frozen=True)
class ErasureEntry:
    """One erasure.

    Parameters
    ----------
    entry : number of the entry of the publication log; None when there is none (yet), and so for ``at``, ``run_id``
        and ``release``
    at : when it was done, ISO 8601
    wallet : salted digest of the wallet's id
    record : digest of the wallet's record
    by, reason, ticket : who had it erased, and why; None in entries of releases that did not ask
    """

    entry: int | None
    at: str | None
    run_id: str | None
    release: str | None
    wallet: str
    record: str
    by: str | None
    reason: str | None
    ticket: str | None

    @classmethod
    def of(cls, entry: LogEntry) -> "ErasureEntry":
        """That of an entry of the publication log."""
        release = str(entry.get("release", FIRST_RELEASE))
        told = (entry["sequence"], entry["at"], entry["run_id"], release, entry["wallet"], entry["record"])
        return cls(*told, *_asked(entry.get("request")))

    def as_json(self) -> JsonObject:
        """JSON form."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """What it says, for people."""
        where = "no entry of the publication log" if self.entry is None else f"entry {self.entry} of the log"
        who, why, ticket = (text or NOT_RECORDED for text in (self.by, self.reason, self.ticket))
        return f"{where}, {self.at or NOT_RECORDED}: asked by: {who}; reason: {why}; ticket: {ticket}"


@dataclass(frozen=True)
class ListedErasure:
    """An erasure with its state, and how many transactions answer erased since; None when the record is gone."""

    told: ErasureEntry
    state: ErasureState
    transactions: int | None

    def as_json(self) -> JsonObject:
        """JSON form."""
        return {**self.told.as_json(), "state": self.state.value, "transactions": self.transactions}


def erasures_of(home: Home) -> list[ListedErasure]:
    """Every erasure that the log names, oldest first, then those that were begun and that it does not name.

    Each line of the log is checked by itself; that none is gone is what ``verify`` shows. Raises ``CorruptFile``.
    """
    wallets = {wallet.mark: wallet for wallet in home.erasures.wallets()}
    lines = home.log.mentioning([f'"asset":"{ERASURE}"'])
    named = [ErasureEntry.of(entry) for entry in lines if kind_of(entry) == ERASURE]
    last = {each.wallet: each.record for each in named}
    waiting = home.store_pending.erasures()
    found = []
    for each in named:
        wallet = wallets.get(each.wallet)
        state = ErasureState.DONE
        if wallet is None:
            state = ErasureState.RECORD_GONE
        elif wallet.record_id != last[each.wallet]:
            state = ErasureState.UNFINISHED
        elif begin_of(each.wallet) in waiting:
            state = ErasureState.STORE_WAITS
        found.append(ListedErasure(each, state, None if wallet is None else wallet.n_transactions))
    for mark, wallet in wallets.items():
        if mark not in last:
            told = ErasureEntry(None, None, None, None, mark, wallet.record_id, *_asked(wallet.request))
            found.append(ListedErasure(told, ErasureState.UNFINISHED, wallet.n_transactions))
    return found


def erasures_naming_transaction(home: Home, tx_id: str) -> list[ErasureEntry]:
    """Entries of the erasures by which a transaction went, oldest first; also those that were only begun.

    Whether the log is whole is what ``verify`` shows. Raises ``CorruptFile``.
    """
    wallets = {wallet.mark: wallet.record_id for wallet, _ in home.erasures.with_transaction(tx_id)}
    named = [each.told for each in erasures_of(home) if each.told.wallet in wallets]
    current = [entry for entry in named if entry.record == wallets[entry.wallet]]
    # the same record is named again by an erasure that found nothing more
    return list({entry.wallet: entry for entry in reversed(current)}.values())[::-1]


def erasure_sentences(home: Home, tx_id: str) -> list[str]:
    """What these entries say, for people; none when the log or a record cannot be read, which ``verify`` tells."""
    try:
        return [f"erased: {entry.sentence}" for entry in erasures_naming_transaction(home, tx_id)]
    except CorruptFile:
        return []


def remedies(found: Iterable[ListedErasure]) -> list[str]:
    """What to do about erasures that are open; empty when all are done."""
    states = Counter(each.state for each in found)
    waiting = states[ErasureState.STORE_WAITS]
    unfinished = states.total() - states[ErasureState.DONE] - waiting
    told = []
    if unfinished:
        which = f"{unfinished:,} of {states.total():,}"
        told.append(f"{which} are open: erase the wallet again, or restore its record from a copy")
    if waiting:
        which = f"{waiting:,} of {states.total():,}"
        told.append(
            f"{which} wait for the model store, which forgets them with the next publication: "
            "anomaly-assets store publish"
        )
    return told


def _asked(request: Any) -> tuple[str | None, str | None, str | None]:
    """Who, why and ticket of a request; whatever is no text counts as not recorded."""
    found = [request.get(name) if isinstance(request, Mapping) else None for name in ("by", "reason", "ticket")]
    by, reason, ticket = (text if isinstance(text, str) else None for text in found)
    return by, reason, ticket
