"""sampled_flags_verify: every night some flags of all times are proved again, down to the model's bytes."""

from datetime import date

import dagster as dg

from anomaly_assets.adapters.compute import Compute
from anomaly_assets.adapters.home import Home
from anomaly_assets.checks.partitioned import evaluated_apart, result_of
from anomaly_assets.domain.errors import AnomalyAssetsError
from anomaly_assets.domain.verdicts import Severity, Verdict
from anomaly_assets.evidence.proof import Outcome
from anomaly_assets.evidence.sample import sample_flags
from anomaly_assets.evidence.verify import Verifier
from anomaly_assets.resources.detection import BoundsResource
from anomaly_assets.resources.home import HomeResource
from anomaly_assets.steps.run import SCORED

NAME = "sampled_flags_verify"
DESCRIPTION = (
    "Flags picked at random from all days scored so far are intact, score the same and train to the same model bytes "
    "(checks.verified_flags; the nightly run does this). When it fails, something was changed after it was published: "
    "anomaly-assets verify names the first broken link."
)


def sampled_flags_verify_check(days: dg.DailyPartitionsDefinition) -> dg.AssetChecksDefinition:
    """The check over the graph's partitions."""

    @evaluated_apart(SCORED, NAME, DESCRIPTION, days)
    def evaluate(
        context: dg.AssetCheckExecutionContext, home: HomeResource, bounds: BoundsResource
    ) -> dg.AssetCheckResult:
        day, compute = date.fromisoformat(context.partition_key), Compute(home.threads)
        return result_of(verify_sample(home.open(), day, bounds.verified_flags, compute))

    return evaluate


def verify_sample(home: Home, day: date, count: int, compute: Compute) -> Verdict:
    """What became of ``count`` flags of the days up to ``day``; others are picked whenever something is published."""
    try:
        until = [scored for scored in home.lake.days(SCORED) if scored <= day]
        picked = sample_flags(home, until, count, seed=f"{day} {home.log.head()}")
    except AnomalyAssetsError as error:
        return Verdict(NAME, False, f"no flags could be picked: {error}")
    verifier = Verifier(home, compute=compute)
    proofs = {(on, tx_id): verifier.verify(on, [tx_id]) for on, tx_ids in picked.items() for tx_id in tx_ids}
    if not proofs:
        return Verdict(NAME, True, "no flag is published yet: not applicable")
    bad = {key: proof for key, proof in proofs.items() if proof.outcome is not Outcome.PROVEN}
    numbers = {"pass rate": 1 - len(bad) / len(proofs), "flags verified": len(proofs)}
    if not bad:
        return Verdict(NAME, True, f"{len(proofs)} flags of {len(picked)} days are proved", numbers=numbers)
    (on, tx_id), proof = next(iter(bad.items()))
    broken = proof.broken
    what = f"{broken.grade}, {broken.name}: {broken.detail}" if broken else ""
    missing_only = all(proof.outcome is Outcome.MISSING for proof in bad.values())
    return Verdict(
        NAME,
        False,
        f"{len(bad)} of {len(proofs)} flags are not proved; {tx_id} of {on}: {what}",
        severity=Severity.WARN if missing_only else Severity.ERROR,
        numbers=numbers,
    )
