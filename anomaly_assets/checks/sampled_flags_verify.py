"""sampled_flags_verify: every night some flags of all times are proved again, down to the model's bytes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date

import dagster as dg

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.adapters.verification_log import record
from anomaly_assets.checks.partitioned import evaluated_apart, result_of
from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.lineage import SCORED
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.evidence.proof import Outcome, Proof
from anomaly_assets.evidence.sample import sample_flags
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.resources.bounds import BoundsResource
from anomaly_assets.resources.clock import ClockResource
from anomaly_assets.resources.home import HomeResource

NAME = "sampled_flags_verify"

Keep = Callable[[Sequence[Proof]], None]
"""Receives proofs, to record them."""


def sampled_flags_verify_check(asset: dg.AssetKey, days: dg.DailyPartitionsDefinition) -> dg.AssetChecksDefinition:
    """The check of ``asset`` over the graph's partitions."""

    @evaluated_apart(asset, NAME, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext, home: HomeResource, bounds: BoundsResource, clock: ClockResource
    ) -> dg.AssetCheckResult:
        day, opened = date.fromisoformat(context.partition_key), home.open()

        def keep(proofs: Sequence[Proof]) -> None:
            if warning := record(opened, proofs, who="nightly", at=clock.now()):
                context.log.warning(warning)

        return result_of(verify_sample(opened, day, bounds.resolve().verified_flags, Compute(home.threads), keep=keep))

    return evaluate


def verify_sample(home: Home, day: date, count: int, compute: Compute, *, keep: Keep = lambda _: None) -> Verdict:
    """What became of ``count`` flags of the days up to ``day``; others are picked whenever something is published.

    A day whose flags cannot be read counts as one that is not proved. Whatever else goes wrong is a failed verdict.

    Parameters
    ----------
    keep : receives every proof, to be recorded
    """
    try:
        return _verified(home, day, count, compute, keep)
    except Exception as error:  # noqa: BLE001 - a check that crashes would tell nobody what it found
        return Verdict(NAME, False, f"no flags could be verified: {type(error).__name__}: {error}")


def _verified(home: Home, day: date, count: int, compute: Compute, keep: Keep) -> Verdict:
    head = ""
    with suppress(CorruptFile, OSError):  # every proof will say so
        head = home.log.head()
    sample = sample_flags(home, [on for on in home.lake.days(SCORED) if on <= day], count, seed=f"{day} {head}")
    verifier = Verifier(home, compute=compute)
    proofs = [verifier.verify(on, [tx_id]) for on, tx_ids in sample.picked.items() for tx_id in tx_ids]
    examined = [*proofs, *sample.unread]
    keep(examined)
    if not examined:
        return Verdict(NAME, True, "no flag is published yet: not applicable")
    bad = [proof for proof in examined if proof.outcome not in {Outcome.PROVEN, Outcome.ERASED}]
    numbers = {
        "pass rate": 1 - len(bad) / len(examined),
        "flags verified": len(proofs),
        "days not read": len(sample.unread),
    }
    if not bad:
        return Verdict(NAME, True, f"{len(proofs)} flags of {len(sample.picked)} days are proved", numbers=numbers)
    missing_only = all(proof.outcome is Outcome.MISSING for proof in bad)
    return Verdict(
        NAME,
        False,
        "; ".join([f"{len(bad)} of {len(examined)} are not proved", *_first_of_each(proofs, sample.unread)]),
        severity=Severity.WARN if missing_only else Severity.ERROR,
        numbers=numbers,
    )


def _first_of_each(proofs: Sequence[Proof], unread: Sequence[Proof]) -> list[str]:
    """The first flag that is not proved, worst first, and every day that could not be read."""
    broken = [proof for proof in proofs if proof.broken]
    worst = sorted(broken, key=lambda proof: proof.outcome is not Outcome.MISMATCH)[:1]
    return [
        f"{' '.join([*(proof.tx_ids or ()), 'of', str(proof.day)])}: {link.grade}, {link.name}: {link.detail}"
        for proof in [*worst, *unread]
        if (link := proof.broken)
    ]
