"""What is said of a row is true of it, whichever detectors its day had and whichever flags these count for."""

from datetime import UTC, date, datetime

import pytest

from anomaly_assets.domain.algorithms import IS_ANOMALY, Flag
from anomaly_assets.domain.scored_row import DetectorResult, Provenance, ScoredRow
from anomaly_assets.evidence.row_words import named, nothing_said, other_flags, unflagged

IS_HASTY = Flag("is_hasty", ("velocity",))
JUDGED, FLAGGED = DetectorResult("judged", False, 0.1, "m"), DetectorResult("judged", True, 9.0, "m")
SILENT = DetectorResult("no_history", False, None, None)


def a_row(**results: DetectorResult) -> ScoredRow:
    return ScoredRow(
        "t",
        "w",
        datetime(2024, 1, 1, tzinfo=UTC),
        5.0,
        None,
        results,
        is_anomaly=False,
        anomaly_score=None,
        reason=None,
        provenance=Provenance(date(2024, 1, 1), "", "", "", "", "", None),
        flags=(IS_ANOMALY, IS_HASTY) if "velocity" in results else (IS_ANOMALY,),
    )


def test_names_of_a_flag_are_those_of_its_detectors_alone() -> None:
    row = a_row(statistical=FLAGGED, isolation_forest=JUDGED, velocity=FLAGGED)
    assert (row.judged_by(), row.flagged_by()) == (["statistical", "isolation_forest"], ["statistical"])
    assert (row.judged_by(IS_HASTY), row.flagged_by(IS_HASTY)) == (["velocity"], ["velocity"])


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (a_row(statistical=SILENT, isolation_forest=SILENT), "no detector could"),
        (a_row(statistical=SILENT, isolation_forest=SILENT, velocity=SILENT), "no detector could"),
        (a_row(statistical=SILENT, velocity=JUDGED), "neither statistical nor isolation forest could"),
    ],
)
def test_who_could_say_nothing(row: ScoredRow, expected: str) -> None:
    assert nothing_said(row) == f"{expected} say anything of it"


def test_a_flag_beside_is_anomaly_is_named_with_who_raised_it() -> None:
    assert other_flags(a_row(statistical=FLAGGED, velocity=FLAGGED)) == "flagged as is_hasty by velocity"
    assert not other_flags(a_row(statistical=FLAGGED, velocity=JUDGED))
    assert not other_flags(a_row(statistical=FLAGGED))


def test_amounts_are_those_of_the_detectors_that_count_for_is_anomaly() -> None:
    assert unflagged(a_row(statistical=JUDGED, isolation_forest=SILENT)) == "not flagged by any detector"
    ours = a_row(statistical=JUDGED, isolation_forest=JUDGED, velocity=JUDGED)
    assert unflagged(ours) == "not flagged by statistical or isolation forest"


def test_names_are_listed_as_words() -> None:
    assert named(["isolation_forest"]) == "isolation forest"
    assert named(["a", "b", "c"]) == "a, b and c"
