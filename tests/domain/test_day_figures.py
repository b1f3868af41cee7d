"""Figures of a day are the same from its rows, from its digest and from its metrics."""

from datetime import date

from views.hand_made import HandMade, Tx

from anomaly_assets.domain.day_digest import counts
from anomaly_assets.domain.day_figures import Counts, Figures

DAY = date(2024, 3, 4)
DETECTORS = ["b", "a"]
ROWS = [Tx(flags="a"), Tx(flags="ab", org=None), Tx(judged="b"), Tx(judged=""), Tx(hour=3)]


def test_rows_digest_and_metrics_give_the_same_in_order_of_publication() -> None:
    digests = HandMade({DAY: ROWS}, "ba")
    scored = digests.published(DAY)
    found = Figures.of_published(scored, DETECTORS, DETECTORS)
    assert found == Figures(Counts(5, 4, 2), {"b": Counts(5, 4, 1), "a": Counts(5, 3, 2)})
    assert list(found.by_detector) == DETECTORS
    assert Figures.of_counts(counts(scored, DETECTORS), DETECTORS, DETECTORS) == found
    of_metrics = Figures.of_metrics(digests.metrics([DAY]))
    assert (of_metrics, list(of_metrics.by_detector)) == (found, DETECTORS)


def test_shares_of_nothing_are_none() -> None:
    assert (Counts().rate, Counts(n_rows=3).rate, Counts(n_rows=3).coverage) == (None, None, 0.0)
    nothing = HandMade({DAY: []}).published(DAY)
    assert Figures.of_published(nothing, ["a"]) == Figures(Counts(), {"a": Counts()})
