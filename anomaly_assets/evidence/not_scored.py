"""Why a day of a trace is not scored with a transaction, for pages: a sentence, and the command that follows it."""

from anomaly_assets.domain.shell_words import command_for
from anomaly_assets.evidence.traced import UnscoredDay


def why_not_scored(day: UnscoredDay) -> str:
    """The remedy of a day of a trace, which names options of commands, as a sentence without them."""
    if day.earlier_scores:
        return "a correction of the raw day removed it, and scores that hold it are kept"
    return day.remedy


def command_of_earlier_scores(tx_id: str, day: UnscoredDay) -> str | None:
    """The command that traces the transaction in scores that hold it; None when there are none."""
    if not day.earlier_scores:
        return None
    return command_for(f"trace --day {day.day} --revision {day.earlier_scores[0]}", tx_id)
