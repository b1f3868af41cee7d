"""A period at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.metrics import ratio
from anomaly_assets.views.digests import Digests
from anomaly_assets.views.selection import Selection, total

USUAL_DAYS = 28
"""Days before a day whose rates make its usual band."""
USUAL_QUANTILES = (0.1, 0.9)


@dataclass(frozen=True)
class Totals:
    """Counts of the period.

    Parameters
    ----------
    transactions, judged, flagged : rows; rows some detector judged; rows some detector flagged
    flagged_by : rows each detector flagged, in order of publication
    not_judged : rows by (detector, why not), of what each detector did not judge
    """

    transactions: int
    judged: int
    flagged: int
    flagged_by: dict[str, int]
    not_judged: dict[tuple[str, str], int]

    @property
    def coverage(self) -> float | None:
        """Judged rows / all rows."""
        return ratio(self.judged, self.transactions)

    @property
    def rate(self) -> float | None:
        """Flagged rows / judged rows."""
        return ratio(self.flagged, self.judged)


def totals(digests: Digests, selection: Selection) -> Totals:
    """Counts of the selection. Raises ``NotSealed``, ``CorruptFile``."""
    cells = selection.of(digests.read("cells", selection.days))
    statuses = selection.of(digests.read("statuses", selection.days))
    detectors = detector_names(digests, selection.days)
    flagged = cells.column("flagged").to_numpy()
    why = statuses.filter(pc.not_equal(statuses.column("status"), DetectorStatus.JUDGED.value))
    grouped = why.group_by(["detector", "status"], use_threads=False).aggregate([("n_rows", "sum")])
    return Totals(
        transactions=total(cells),
        judged=total(cells, cells.column("judged").to_numpy() > 0),
        flagged=total(cells, flagged > 0),
        flagged_by={name: total(cells, (flagged >> bit) & 1 == 1) for bit, name in enumerate(detectors)},
        not_judged={(row["detector"], row["status"]): row["n_rows_sum"] for row in grouped.to_pylist()},
    )


def detector_names(digests: Digests, days: Sequence[date]) -> list[str]:
    """Detectors of the period, in order of publication: those of its last day."""
    return [detector.name for detector in digests.detectors_of(digests.scored(days[-1]))]


def rates(digests: Digests, selection: Selection) -> pa.Table:
    """Per day: ``day, n_rows, n_judged, n_flagged, rate, coverage, usual_low, usual_high``.

    The usual band of a day is the range between the quantiles ``USUAL_QUANTILES`` of the rates of up to ``USUAL_DAYS``
    scored days before it, in the selection or not; null with fewer than three.
    """
    before = [day for day in digests.days() if day < selection.days[0]][-USUAL_DAYS:]
    known = [*before, *selection.days]
    cells = selection.of(digests.read("cells", known))
    counts = [_counts(cells.filter(pc.equal(cells.column("day"), pa.scalar(day)))) for day in known]
    rate = np.array([flagged / judged if judged else np.nan for _, judged, flagged in counts])
    bands = [_usual(rate[max(place - USUAL_DAYS, 0) : place]) for place in range(len(known))]
    rows = [
        {
            "day": day,
            "n_rows": n_rows,
            "n_judged": judged,
            "n_flagged": flagged,
            "rate": ratio(flagged, judged),
            "coverage": ratio(judged, n_rows),
            "usual_low": band[0],
            "usual_high": band[1],
        }
        for day, (n_rows, judged, flagged), band in zip(known, counts, bands, strict=True)
    ]
    kinds = [pa.date32(), pa.int64(), pa.int64(), pa.int64(), pa.float64(), pa.float64(), pa.float64(), pa.float64()]
    schema = pa.schema(list(zip(rows[0], kinds, strict=True)))
    return pa.Table.from_pylist(rows[len(before) :], schema=schema)


def top(digests: Digests, selection: Selection, column: str, count: int) -> pa.Table:
    """Values of a published ``column`` with most flags: the value, ``n_flagged, highest_score``, most first."""
    flags = digests.read("flags", selection.days, sorted({column, "anomaly_score", "ORG_NAME"}))
    grouped = selection.of(flags, "ORG_NAME").group_by([column], use_threads=False)
    named = grouped.aggregate([([], "count_all"), ("anomaly_score", "max")])
    named = named.rename_columns([column, "n_flagged", "highest_score"])
    order = [("n_flagged", "descending"), ("highest_score", "descending"), (column, "ascending")]
    return named.sort_by(order).slice(0, count)


def _counts(cells: pa.Table) -> tuple[int, int, int]:
    return (
        total(cells),
        total(cells, cells.column("judged").to_numpy() > 0),
        total(cells, cells.column("flagged").to_numpy() > 0),
    )


def _usual(rates: np.ndarray) -> tuple[float | None, float | None]:
    known = rates[~np.isnan(rates)]
    if len(known) < 3:
        return None, None
    low, high = np.quantile(known, USUAL_QUANTILES)
    return float(low), float(high)
