"""What is changed or taken away in a home of an earlier release is found, as in one of this release."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.lineage import METRICS, MODELS, RAW, SCORED, WINDOW
from anomaly_assets.evidence.proof import Outcome
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.steps.window import manifest_of
from compat.frozen import NAMES, Frozen, copied, known_of, unpacked

PathOf = Callable[[Home, date], Path]


def _file(asset: str, role: str) -> PathOf:
    return lambda home, day: home.lake.path_of(home.lake.require(asset, day), role)


def _raw_day_of_the_window(home: Home, day: date) -> Path:
    first = manifest_of(home.lake.require(WINDOW, day)).present[0][0]
    return home.lake.path_of(home.lake.require(RAW, first), "transactions")


def _of_partition(asset: str, pattern: str) -> PathOf:
    return lambda home, day: next(home.lake.local_folder(asset, day).glob(pattern))


def _settings(home: Home, day: date) -> Path:
    return home.settings / f"{home.lake.require(SCORED, day).settings_id}.json"


def _published(home: Home, day: date) -> Path:
    return home.root / "output" / home.published_path(day).name


CHANGED: dict[str, tuple[PathOf, str]] = {
    "the raw day": (_file(RAW, "transactions"), RAW),
    "a raw day of the window": (_raw_day_of_the_window, RAW),
    "the window": (_file(WINDOW, "wallets"), WINDOW),
    "the list of models": (_file(MODELS, "models"), MODELS),
    "a seal": (_of_partition(SCORED, "seal.json"), SCORED),
    "a seal of before": (_of_partition(MODELS, "seals/all/*.json"), MODELS),
    "a scored row": (_file(SCORED, "scored"), SCORED),
    "a published row": (_published, "labeled_transactions_"),
    "a metric": (_file(METRICS, "metrics"), METRICS),
    "the record of the settings": (_settings, "settings"),
    "the log": (lambda home, _: home.log.path, "publication_log"),
    "a pack of models": (lambda home, day: next((home.models.root / str(day)).glob("*.parquet")), "model payloads"),
}
"""What is changed, and what the broken link names."""
ERASED: dict[str, tuple[PathOf, str]] = {
    "what is left of a raw day": (_of_partition(RAW, "erased.json"), "erased.json"),
    "what is left of a scored day": (_of_partition(SCORED, "erased.json"), "erased.json"),
    "the record of the erased wallet": (lambda home, _: next(home.root.glob("erasures/*.json")), "erasures"),
}
"""The same of what an erasure wrote."""
GONE: dict[str, PathOf] = {
    "the raw day": _file(RAW, "transactions"),
    "a scored row": _file(SCORED, "scored"),
    "a published row": _published,
    "the record of the settings": _settings,
    "the log": lambda home, _: home.log.path,
}
WITH_ERASURE = [name for name in NAMES if "erased" in known_of(name)["facts"]]


@pytest.fixture(scope="module")
def shared(frozen: Frozen) -> Iterator[Frozen]:
    """A copy that every test spoils and mends again."""
    with copied(frozen) as copy:
        yield copy


@contextmanager
def _spoiled(path: Path) -> Iterator[None]:
    """One byte of a file is another for a while."""
    before = path.read_bytes()
    content = bytearray(before)
    content[min(len(content) // 2, 200)] ^= 1
    path.write_bytes(content)
    yield
    path.write_bytes(before)


def _require(frozen: Frozen, day: date, outcome: Outcome, named: str) -> None:
    proof = Verifier(frozen.home).verify(day)
    assert proof.outcome is outcome
    assert proof.broken is not None
    assert named in f"{proof.broken.name} {proof.broken.detail}"


@pytest.mark.parametrize("what", CHANGED)
def test_one_changed_byte_is_found_and_its_file_named(shared: Frozen, what: str) -> None:
    path_of, named = CHANGED[what]
    day = shared.days("scored")[-1]
    with _spoiled(path_of(shared.home, day)):
        _require(shared, day, Outcome.MISMATCH, named)


@pytest.mark.parametrize("what", GONE)
def test_what_is_gone_is_missing(shared: Frozen, what: str) -> None:
    day = shared.days("scored")[-1]
    path = GONE[what](shared.home, day)
    aside = path.rename(path.with_name("aside"))
    _require(shared, day, Outcome.MISSING, path.stem[:20])
    aside.rename(path)


@pytest.mark.parametrize("name", WITH_ERASURE)
def test_one_changed_byte_of_what_an_erasure_left_is_found(name: str) -> None:
    with unpacked(name) as frozen:
        told = frozen.known["answers"][f"verify {frozen.facts['erased']['tx_id']}"]["json"]
        day = date.fromisoformat(told["proofs"][0]["day"])
        for path_of, named in ERASED.values():
            with _spoiled(path_of(frozen.home, day)):
                _require(frozen, day, Outcome.MISMATCH, named)


def test_a_home_that_was_mended_is_proven(shared: Frozen) -> None:
    """Nothing but what was spoiled above made a difference."""
    assert Verifier(shared.home).verify(shared.days("scored")[-1]).outcome is Outcome.PROVEN
