"""A home whose lake and published days lie in an object store: the same bytes, the same proofs, nothing of it here."""

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from cli.conftest import ASKED, PERIOD, SMALL, Shell, empty_folder
from object_store import BUCKET, object_store

from anomaly_assets.adapters.failpoints import armed
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.object_path import AnyPath, ObjectPath, listed
from anomaly_assets.domain.errors import HomeMismatch
from anomaly_assets.domain.lineage import RAW, SCORED
from anomaly_assets.evidence.proof import Outcome
from anomaly_assets.evidence.verify import Verifier

pytestmark = pytest.mark.xdist_group("home in an object store")


class Away:
    """A home here whose data are there, and one that is all here."""

    def __init__(self, away: Shell, here: Shell, environment: dict[str, str]) -> None:
        self.away, self.here, self.environment = away, here, environment

    @property
    def home(self) -> Home:
        return Home(self.away.home)


@pytest.fixture(scope="module")
def scored() -> Iterator[Away]:
    with object_store() as parameters, empty_folder() as away, empty_folder() as here:
        places = {
            "ANOMALY_STORAGE__LAKE": f"s3://{BUCKET}/some/lake?{parameters}",
            "ANOMALY_STORAGE__OUTPUT": f"s3://{BUCKET}/output?{parameters}",
        }
        both = Away(Shell(away), Shell(here), {**SMALL, **places})
        both.away.json(*PERIOD, **both.environment)
        both.here.json(*PERIOD, **SMALL)
        yield both


def files_below(folder: AnyPath) -> dict[str, bytes]:
    """Every file by its path below the folder; what is staged is no file of results."""
    found: dict[str, bytes] = {}
    for path in listed(folder, "*"):
        if path.is_dir():
            found |= {f"{path.name}/{name}": content for name, content in files_below(path).items()}
        elif not path.name.startswith(".") and path.suffix != ".u64":
            found[path.name] = path.read_bytes()
    return found


def test_lake_and_published_days_are_the_same_bytes_and_not_here(scored: Away) -> None:
    here = Home(scored.here.home)
    assert isinstance(scored.home.lake.root, ObjectPath)
    for there, local in ((scored.home.lake.root, here.lake.root), (scored.home.output, here.output)):
        assert files_below(there) == files_below(local)
    assert not (scored.away.home / "lake").exists()
    assert not (scored.away.home / "output").exists()


def test_days_are_proved_traced_and_found_stale_as_everywhere(scored: Away) -> None:
    first, last = PERIOD[2], PERIOD[4]
    report = scored.away.json("verify", "--from", first, "--to", last, **scored.environment)
    assert report["outcomes"]["proven"] == 3
    rows = scored.home.lake.read(scored.home.lake.require(SCORED, scored.home.lake.days(SCORED)[-1]), "scored")
    tx_id = rows.column("TX_ID")[0].as_py()
    assert scored.away.json("trace", tx_id, **scored.environment)["days"][0]["scored"]
    assert scored.away.json("stale", **scored.environment)["stale"] == []
    before = files_below(scored.home.lake.root)
    scored.away.json(*PERIOD, **scored.environment)
    assert files_below(scored.home.lake.root) == before


def test_a_stopped_run_leaves_the_old_day_current_and_is_made_good_by_the_next(scored: Away) -> None:
    lake, day = scored.home.lake, scored.home.lake.days(RAW)[0]
    seal, before = lake.require(RAW, day), files_below(lake.root / RAW / day.isoformat())

    def stop() -> None:
        raise KeyboardInterrupt

    tables = {role: lake.read(seal, role) for role in seal.files}
    tables["transactions"] = tables["transactions"].slice(1)
    for point in ("staged", "renamed", "recorded"):
        with (
            armed(f"{RAW}.{point}", stop),
            pytest.raises(KeyboardInterrupt),
            lake.writing(RAW, day, timeout_seconds=5) as writer,
        ):
            writer.commit(writer.stage(tables), revision="0" * 64, verdicts=[])
        assert lake.require(RAW, day) == seal
        assert files_below(lake.root / RAW / day.isoformat()).items() >= before.items()


def test_a_wallet_is_erased_there_too(scored: Away) -> None:
    home = scored.home
    new = date(2024, 1, 25)
    with home.lake.writing(RAW, new, timeout_seconds=5):
        assert new in home.lake.days_begun(RAW), "a day that is written for the first time is waited for"
    rows = home.lake.read(home.lake.require(SCORED, home.lake.days(SCORED)[-1]), "scored").to_pylist()
    wallet = rows[0]["WALLET_ID"]
    scored.away.json("erase", wallet, *ASKED, "--yes", **scored.environment)
    for day in home.lake.days(SCORED):
        left = home.lake.read(home.lake.require(SCORED, day), "scored").column("WALLET_ID").to_pylist()
        assert wallet not in left
        assert Verifier(home).verify(day).outcome is Outcome.PROVEN
    everything = {**files_below(home.lake.root), **files_below(home.output)}
    assert not [name for name, content in everything.items() if wallet.encode() in content]


def test_the_home_remembers_where_its_parts_are(scored: Away, tmp_path: Path) -> None:
    record = json.loads((scored.away.home / "home.json").read_bytes())
    there = {
        "lake": scored.environment["ANOMALY_STORAGE__LAKE"],
        "output": scored.environment["ANOMALY_STORAGE__OUTPUT"],
    }
    assert {part: record[part] for part in there} == there
    refused = scored.away.run(*PERIOD[:2], "2024-01-10", "--to", "2024-01-10", **SMALL)
    assert refused.returncode == 70
    assert f"the lake of {scored.away.home}" in refused.stderr
    assert "s3://bucket/some/lake" in refused.stderr
    source, first = {"kind": "synthetic"}, scored.home.lake.days(RAW)[0]
    Home(tmp_path, there).claim(source, first)
    Home(tmp_path, {**there, "lake": f"{there['lake']}&allow_bucket_creation=false"}).claim(source, first)
    assert "allow_bucket_creation" in str(Home(tmp_path).record())
    with pytest.raises(HomeMismatch, match=r"the output of .* is at s3://bucket/output"):
        Home(tmp_path, {"lake": there["lake"]}).claim(source, first)
