"""What Dagster's pages say of each check: what it claims, why that matters, and what to do when it fails."""

from typing import NamedTuple

from anomaly_assets.domain.due_days import DUE_DAY_IS_THERE

ELIGIBILITY = "_eligibility"
"""How the names of the checks end that each detector has one of."""


class CheckText(NamedTuple):
    """One check in words.

    Parameters
    ----------
    claim : what holds when it passes
    reason : why anybody should care
    remedy : what to do when it fails
    """

    claim: str
    reason: str
    remedy: str

    @property
    def description(self) -> str:
        """All three, as markdown."""
        return f"{self.claim}\n\n**Why:** {self.reason}\n\n**When it fails:** {self.remedy}"


TEXTS = {
    "schema": CheckText(
        "Columns, types, nulls and order of the day are those of the schema.",
        "Everything after it reads the day by these columns and does not look again.",
        "ingest the day again. The border refuses or converts whatever a source delivers, so a second failure is a "
        "fault of this program or of the disk: keep the run and its log, and leave the day out until it is found.",
    ),
    "unique_transaction_ids": CheckText(
        "No transaction id occurs twice within the day.",
        "A flag is named by its id: of two rows with one id nobody could say which one was flagged.",
        "ingest the day again. Exact repeats are dropped and conflicting ones quarantined, each counted in the day's "
        "ledger, so a second failure is a fault of this program: keep the run and its log.",
    ),
    "ledger_balances": CheckText(
        "Rows in = kept + quarantined + duplicate (+ rows of erased wallets), and as many as the source counted.",
        "A row that is lost on the way is judged by nobody, and nobody misses it.",
        "the sentence says which side is off. When the source counted other rows than it delivered, the day was being "
        "loaded: ingest it again when loading is done. Else ingest it again, and keep the log when that fails too.",
    ),
    "window_complete": CheckText(
        "Every day of the window is sealed.",
        "A model that never saw some days takes what is usual on them for strange.",
        "ingest the days that the sentence names (Jobs > ingest_transactions), then run this day again; or allow as "
        "many with window.max_missing_days, and the check warns instead.",
    ),
    "no_look_ahead": CheckText(
        "Nothing of day D or later is inside, and nothing older than the window.",
        "A model that was trained on what it judges calls it normal.",
        "nothing was published. Run the day again; when it fails again, a raw day holds rows of another day: "
        "anomaly-assets verify names the first that does not follow from its seal.",
    ),
    "every_eligible_wallet_has_a_model": CheckText(
        "Each eligible wallet has exactly one model of each detector, and no other wallet has any.",
        "A wallet whose model is missing would go unjudged without anybody noticing.",
        "nothing was published, and the models of before are still served. Materialize training_window and "
        "wallet_models of the day again: what the archive lacks is fitted again.",
    ),
    "published_models_match": CheckText(
        "The store serves exactly this day's models; passes as superseded when a newer day is served.",
        "Whoever reads the store would judge by models that no day listed.",
        "materialize wallet_models for the newest day again: the store is filled from the archive. When it fails once "
        "more, find out who else writes to the store (anomaly-assets doctor says which one it is).",
    ),
    "every_transaction_judged_once": CheckText(
        "The scored rows are the raw rows, each once and unchanged, with a status of each detector.",
        "A row that is missing or counted twice makes every count and rate of the day wrong.",
        "nothing was published, and the scores of before stay. Run detect_anomalies for the day again; when it fails "
        "again, the sentence says which of rows, statuses and models do not fit: keep the run and its log.",
    ),
    "unified_flag_is_the_or": CheckText(
        "is_anomaly is the OR of the detectors' flags; flagged rows, and no others, score above 0.5 and have a reason.",
        "Most readers look at the unified flag alone.",
        "nothing was published, and the scores of before stay. Run detect_anomalies for the day again; when it fails "
        "again, a detector contradicts itself: keep the run and its log.",
    ),
    "coverage_within_bounds": CheckText(
        "Enough rows were judged by some detector (checks.min_coverage).",
        "Not judged is not normal: whatever happened in these rows, nobody looked.",
        "look at the statuses in the preview, at training_window's eligibility and at its missing days. New wallets "
        "in large numbers look like this, too, as do wallet ids that are written in another way since.",
    ),
    "anomaly_rate_within_bounds": CheckText(
        "Not suspiciously many judged rows are flagged (checks.max_anomaly_rate).",
        "So many flags are rarely so many anomalies, and nobody can work through them.",
        "compare the day's amounts with those of its window: a changed currency or unit in the source looks like "
        "this. When the source is right, ingest the corrected day and run detect_anomalies for it again.",
    ),
    "scores_follow_from_current_days": CheckText(
        "The scores follow from the raw days, window, models and settings that are current.",
        "What was corrected since could change what is flagged.",
        "run detect_anomalies for this day (Jobs > detect_anomalies > Materialize all). Which other days are stale is "
        "shown on the dashboard's page Operations, under Days.",
    ),
    DUE_DAY_IS_THERE: CheckText(
        "The day that should be there by now is there (nightly.cron, nightly.due_after_hours, source.complete_until). "
        "It warns for one missing day and is an error for more; where no day is due it passes and says so.",
        "A pipeline that stopped fails no run: whoever looks at its last good day takes it for a fresh one.",
        "see whether the schedule nightly is on and what its newest run says; nights that never ran are made up while "
        "the daemon runs, and anomaly-assets backfill makes the named days at once.",
    ),
    "sampled_flags_verify": CheckText(
        "Flags picked at random from all days scored so far are intact, score the same and train to the same model "
        "bytes (checks.verified_flags; the nightly run does this).",
        "A flag that cannot be shown to be true is an opinion.",
        "something was changed after it was published: Verify on the dashboard's page of the flag names the first "
        "broken link. What is only missing (a warning) is brought back by running its day again.",
    ),
}
"""By the name of the check."""


def text_of(check: str) -> CheckText:
    """What is said of a check of this name. Raises ``KeyError`` for one of another package."""
    return _eligibility(check.removesuffix(ELIGIBILITY)) if check.endswith(ELIGIBILITY) else TEXTS[check]


def remedy_of(check: str) -> str | None:
    """What to do when the check of this name fails; None for one of another package, which its description tells."""
    return text_of(check).remedy if check.endswith(ELIGIBILITY) or check in TEXTS else None


def _eligibility(detector: str) -> CheckText:
    return CheckText(
        f"Enough wallets, with enough of the transactions, can have a model of {detector} (floors: "
        "checks.min_eligible_wallets, checks.min_eligible_transactions). It warns below the floors and is an error "
        "when no wallet can.",
        "The others are not judged by it, and not judged is not normal.",
        "after a few days of history that is expected, and passes with time. Else look at "
        f"{detector}_ineligible_reason in the preview: ingest days that are missing, or lower "
        f"{detector}.min_transactions.",
    )
