"""The nightly check: some flags of all times are proved again, and the share that is proved is told."""

import shutil
from collections import Counter
from datetime import date

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.checks.sampled_flags_verify import verify_sample
from anomaly_assets.domain.lineage import METRICS, RAW, SCORED
from anomaly_assets.domain.metrics import METRICS as METRICS_SCHEMA
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.verdicts import Severity
from anomaly_assets.evidence.proof import Outcome, Proof
from anomaly_assets.evidence.sample import sample_flags
from evidence.conftest import DAYS
from evidence.test_verify import flags_of
from evidence.test_verify_forgeries import publish


def test_flags_of_the_days_so_far_are_proved(untouched: Home) -> None:
    verdict = verify_sample(untouched, DAYS[-1], 4, Compute())
    assert verdict.passed, verdict.message
    assert verdict.numbers == {"pass rate": 1.0, "flags verified": 4, "days not read": 0}


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
    shutil.rmtree(home.lake.local_folder(RAW, date(2024, 1, 9)))
    verdict = verify_sample(home, DAYS[-1], 3, Compute())
    assert not verdict.passed
    assert verdict.severity is Severity.WARN


def test_a_day_that_cannot_be_read_is_one_that_is_not_proved_and_the_others_are_verified(home: Home) -> None:
    """Two such days: one whose seal is damaged and one whose scores are."""
    (home.lake.folder(SCORED, DAYS[0]) / "seal.json").write_bytes(b"damaged")
    path = home.lake.path_of(home.lake.require(SCORED, DAYS[1]), "scored")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    verdict = verify_sample(home, DAYS[-1], 10_000, Compute())
    assert not verdict.passed
    assert verdict.severity is Severity.ERROR
    n_flags = verdict.numbers["flags verified"]
    assert n_flags == sum(len(flags_of(home, day)) for day in DAYS[2:]) > 0
    assert verdict.numbers["pass rate"] == 1 - 2 / (n_flags + 2)
    assert str(DAYS[0]) in verdict.message
    assert path.name in verdict.message


def test_every_proof_is_handed_on_to_be_recorded(home: Home) -> None:
    """Those of flags, and those of days that could not be read."""
    (home.lake.folder(SCORED, DAYS[0]) / "seal.json").write_bytes(b"damaged")
    kept: list[Proof] = []
    verdict = verify_sample(home, DAYS[-1], 3, Compute(), keep=kept.extend)
    assert Counter(proof.outcome for proof in kept) == {Outcome.PROVEN: 3, Outcome.MISMATCH: 1}
    assert verdict.numbers["pass rate"] == 3 / 4


def test_days_that_are_not_picked_are_not_read(home: Home) -> None:
    """Their metrics say how many flags they have."""
    with_flags = [day for day in DAYS[:-1] if flags_of(home, day)]
    assert with_flags
    for day in DAYS[:-1]:
        home.lake.path_of(home.lake.require(SCORED, day), "scored").unlink()
    only = sample_flags(home, DAYS, 10_000, seed="a")
    assert list(only.picked) == [DAYS[-1]]
    assert [proof.day for proof in only.unread] == with_flags
    lucky = next(
        sample for seed in map(str, range(1000)) if not (sample := sample_flags(home, DAYS, 1, seed=seed)).unread
    )
    assert list(lucky.picked) == [DAYS[-1]]


def test_flags_of_a_day_that_is_not_measured_are_as_likely_as_any_other(home: Home) -> None:
    measured = sample_flags(home, DAYS, 5, seed="a")
    shutil.rmtree(home.lake.local_folder(METRICS, DAYS[1]))
    metrics = home.lake.path_of(home.lake.require(METRICS, DAYS[2]), "metrics")
    metrics.write_bytes(b"damaged")
    assert sample_flags(home, DAYS, 5, seed="a") == measured


def test_metrics_that_count_other_flags_than_the_scores_hold_are_found_when_their_day_is_picked(home: Home) -> None:
    seal = home.lake.require(METRICS, DAYS[0])
    rows = home.lake.read(seal, "metrics").to_pylist()
    for row in rows:
        row["n_flagged"] += 1
    table = home.lake.read(seal, "metrics").slice(0, 0).from_pylist(rows, schema=METRICS_SCHEMA.arrow)
    publish(home, seal, "metrics", table, revision=table_digest(table))
    (unread,) = sample_flags(home, DAYS, 10_000, seed="a").unread
    assert unread.day == DAYS[0]
    assert unread.broken is not None
    assert "as anomaly_metrics counts them" in unread.broken.detail


def test_every_flag_is_as_likely_as_any_other(untouched: Home) -> None:
    """Each is picked about as often as the others over many seeds: within five standard deviations."""
    flags = [(day, tx_id) for day in DAYS for tx_id in flags_of(untouched, day)]
    n_seeds, found = 20 * len(flags), Counter[tuple[date, str]]()
    for seed in range(n_seeds):
        picked = sample_flags(untouched, DAYS, 1, seed=str(seed)).picked
        found.update((day, tx_id) for day, tx_ids in picked.items() for tx_id in tx_ids)
    assert sum(found.values()) == n_seeds
    assert all(abs(found[flag] - 20) < 5 * 20**0.5 for flag in flags)


def test_a_damaged_log_is_a_failed_verdict_with_its_pass_rate(home: Home) -> None:
    home.log.path.write_bytes(home.log.path.read_bytes()[:-5] + b"damaged\n")
    verdict = verify_sample(home, DAYS[-1], 3, Compute())
    assert not verdict.passed
    assert verdict.numbers["pass rate"] == 0
    assert "publication log" in verdict.message


def test_whatever_goes_wrong_is_a_failed_verdict_with_its_text(home: Home) -> None:
    """Here no number of flags that could be picked."""
    verdict = verify_sample(home, DAYS[-1], -1, Compute())
    assert not verdict.passed
    assert "no flags could be verified: ValueError" in verdict.message
