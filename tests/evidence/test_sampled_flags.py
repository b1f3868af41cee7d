"""The nightly check: some flags of all times are proved again, and the share that is proved is told."""

import shutil
from datetime import date

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.checks.sampled_flags_verify import verify_sample
from anomaly_assets.domain.verdicts import Severity
from anomaly_assets.steps.run import RAW, SCORED
from evidence.conftest import DAYS


def test_flags_of_the_days_so_far_are_proved(untouched: Home) -> None:
    verdict = verify_sample(untouched, DAYS[-1], 4, Compute())
    assert verdict.passed, verdict.message
    assert verdict.numbers == {"pass rate": 1.0, "flags verified": 4}


def test_no_flag_so_far_is_not_applicable(untouched: Home) -> None:
    verdict = verify_sample(untouched, date(2024, 1, 2), 4, Compute())
    assert verdict.passed
    assert "not applicable" in verdict.message


def test_something_that_was_changed_is_an_error_with_the_share_that_is_proved(home: Home) -> None:
    path = home.lake.path_of(home.lake.require(RAW, DAYS[-1]), "transactions")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    everything = verify_sample(home, DAYS[-1], 10_000, Compute())
    assert not everything.passed
    assert everything.severity is Severity.ERROR
    assert RAW in everything.message
    scored = home.lake.read(home.lake.require(SCORED, DAYS[-1]), "scored", ["is_anomaly"])
    n_bad, n_all = sum(scored.column("is_anomaly").to_pylist()), everything.numbers["flags verified"]
    assert 0 < n_bad < n_all
    assert everything.numbers["pass rate"] == 1 - n_bad / n_all


def test_something_that_is_missing_is_a_warning(home: Home) -> None:
    shutil.rmtree(home.lake.folder(RAW, date(2024, 1, 9)))
    verdict = verify_sample(home, DAYS[-1], 3, Compute())
    assert not verdict.passed
    assert verdict.severity is Severity.WARN


def test_scores_that_cannot_be_read_are_no_empty_sample(home: Home) -> None:
    home.lake.path_of(home.lake.require(SCORED, DAYS[0]), "scored").unlink()
    verdict = verify_sample(home, DAYS[-1], 3, Compute())
    assert not verdict.passed
    assert "no flags could be picked" in verdict.message
