"""What is known of a scored day is forgotten as soon as the day is another."""

import shutil

import pytest

from anomaly_assets.adapters.atomic_files import write_atomically
from anomaly_assets.adapters.home import Home
from anomaly_assets.domain.errors import CorruptFile, NotSealed
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.views.digests import Digests


def test_a_seal_is_read_once_while_it_stays(untouched: Home) -> None:
    digests = Digests(untouched)
    day = digests.days()[0]
    assert digests.scored(day).seal is digests.scored(day).seal


def test_a_seal_that_was_replaced_is_read_again(home: Home) -> None:
    digests = Digests(home)
    day, other = digests.days()[:2]
    before = digests.scored(day)
    path = home.lake.folder(SCORED, day) / "seal.json"
    content = path.read_bytes()
    write_atomically(path, content)
    after = digests.scored(day)
    assert after.seal is not before.seal
    assert after == before
    write_atomically(path, (home.lake.folder(SCORED, other) / "seal.json").read_bytes())
    with pytest.raises(CorruptFile):
        digests.scored(day)
    write_atomically(path, content)
    assert digests.scored(day) == before


def test_a_day_that_is_gone_is_not_known_any_more(home: Home) -> None:
    digests = Digests(home)
    day = digests.days()[0]
    digests.read("cells", [day])
    shutil.rmtree(str(home.lake.folder(SCORED, day)))
    with pytest.raises(NotSealed):
        digests.scored(day)
    with pytest.raises(NotSealed):
        digests.read("cells", [day])


def test_digests_are_missing_until_they_are_made(home: Home) -> None:
    digests = Digests(home)
    days = digests.days()
    assert digests.missing(days) == days
    digests.make(days[1])
    assert digests.missing(days) == [days[0], *days[2:]]
