"""A scored day in little: counts and histograms that add up over days, and its flagged rows.

What pages show of a year is made of these, so that no page reads all rows of a year.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.algorithms import ALGORITHMS, IS_ANOMALY
from anomaly_assets.domain.detectors.base import DetectorStatus
from anomaly_assets.domain.published import anomaly_column, model_id_column, status_column

AMOUNT = "amount"
"""Measure of amounts, in steps of :func:`amount_position`; the others are score columns."""
OTHER_BIN_WIDTH = 0.05
"""Width of histogram bins of a score whose detector is not known here."""

MOST_DETECTORS = 32
"""Those that have a bit of their own."""

CELLS = pa.schema(
    [
        pa.field("org_name", pa.string()),
        pa.field("hour", pa.uint8(), nullable=False),
        pa.field("judged", pa.uint32(), nullable=False),
        pa.field("flagged", pa.uint32(), nullable=False),
        pa.field("n_rows", pa.int64(), nullable=False),
    ]
)
"""Rows by organisation, UTC hour and by which detectors judged and flagged them: bit k is the k-th detector."""
COUNTS = pa.schema([field for field in CELLS if field.name != "hour"])
"""Rows as ``CELLS`` has them, whatever their hour."""
STATUSES = pa.schema(
    [
        pa.field("org_name", pa.string()),
        pa.field("detector", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("n_rows", pa.int64(), nullable=False),
    ]
)
"""Rows by organisation, detector and what the detector could say of them."""
HISTOGRAMS = pa.schema(
    [
        pa.field("org_name", pa.string()),
        pa.field("measure", pa.string(), nullable=False),
        pa.field("is_anomaly", pa.bool_(), nullable=False),
        pa.field("bin", pa.int64(), nullable=False),
        pa.field("n_rows", pa.int64(), nullable=False),
    ]
)
"""Rows by organisation, measure, flag and bin; rows without the measure are in none.

``is_anomaly`` of a detector's score is the flag that the detector counts for.
"""


def cells(scored: pa.Table, detectors: Sequence[str]) -> pa.Table:
    """``CELLS`` of published rows. Raises ``ValueError`` beyond ``MOST_DETECTORS``."""
    judged, flagged = detector_bits(scored, detectors)
    keys = {
        "org_name": scored.column("ORG_NAME"),
        "hour": pc.cast(pc.hour(scored.column("TX_COMPLETED_AT")), pa.uint8()),
        "judged": pa.array(judged),
        "flagged": pa.array(flagged),
    }
    return _counted(keys, CELLS)


def detector_bits(scored: pa.Table, detectors: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Which detectors judged, and which flagged, each published row: uint32 of shape (n_rows,), bit k the k-th one.

    Raises ``ValueError`` beyond ``MOST_DETECTORS``.
    """
    require_bits(detectors)
    judged, flagged = np.zeros(scored.num_rows, np.uint32), np.zeros(scored.num_rows, np.uint32)
    for bit, detector in enumerate(detectors):
        is_judged = pc.equal(scored.column(status_column(detector)), DetectorStatus.JUDGED.value).to_numpy()
        judged |= is_judged.astype(np.uint32) << bit
        flagged |= scored.column(anomaly_column(detector)).to_numpy().astype(np.uint32) << bit
    return judged, flagged


def require_bits(detectors: Sequence[str]) -> None:
    """Raise ``ValueError`` when they are more than ``MOST_DETECTORS``."""
    if len(detectors) > MOST_DETECTORS:
        raise ValueError(f"{len(detectors)} detectors, {MOST_DETECTORS} at most have a bit of their own")


def bits_of(names: Sequence[str], own: Sequence[str], bits: np.ndarray) -> np.ndarray:
    """Bits in the order of ``own`` detectors, put into that of ``names``, which hold them all; uint32 of shape (n,).

    Raises ``ValueError`` beyond ``MOST_DETECTORS``.
    """
    require_bits(names)
    moved = np.zeros(len(bits), np.uint32)
    for bit, name in enumerate(own):
        moved |= (bits >> bit & 1) << names.index(name)
    return moved


def counts(scored: pa.Table, detectors: Sequence[str]) -> pa.Table:
    """``COUNTS`` of published rows. Raises ``ValueError`` beyond ``MOST_DETECTORS``."""
    grouped = cells(scored, detectors).group_by(["org_name", "judged", "flagged"], use_threads=False)
    return grouped.aggregate([("n_rows", "sum")]).rename_columns(COUNTS.names).cast(COUNTS).combine_chunks()


def statuses(scored: pa.Table, detectors: Sequence[str]) -> pa.Table:
    """``STATUSES`` of published rows."""
    parts = [
        _counted(
            {
                "org_name": scored.column("ORG_NAME"),
                "detector": pa.repeat(detector, scored.num_rows),
                "status": scored.column(status_column(detector)),
            },
            STATUSES,
        )
        for detector in detectors
    ]
    return pa.concat_tables([STATUSES.empty_table(), *parts]).combine_chunks()


def histograms(scored: pa.Table, flag_columns: Mapping[str, str]) -> pa.Table:
    """``HISTOGRAMS`` of amounts, of the detectors' scores and of ``anomaly_score``.

    Parameters
    ----------
    flag_columns : score column of a detector to the published flag that the detector counts for
    """
    measures = {AMOUNT: amount_position(scored.column("TOTAL_AMOUNT").to_numpy())}
    measures |= {name: scored.column(name).to_numpy() for name in [*flag_columns, "anomaly_score"]}
    parts = []
    for measure, values in measures.items():
        known = ~np.isnan(values)
        mask = pa.array(known)
        bins = _bins(values[known], bin_width(measure))
        keys = {
            "org_name": scored.column("ORG_NAME").filter(mask),
            "measure": pa.repeat(measure, len(bins)),
            "is_anomaly": scored.column(flag_columns.get(measure, IS_ANOMALY.column)).filter(mask),
            "bin": pa.array(bins),
        }
        parts.append(_counted(keys, HISTOGRAMS))
    return pa.concat_tables(parts).combine_chunks()


def flags(scored: pa.Table, detectors: Sequence[str]) -> pa.Table:
    """The published rows that some detector flagged, without the ids of their models."""
    flagged = [scored.column(name).to_numpy() for name in ("is_anomaly", *map(anomaly_column, detectors))]
    chosen = scored.filter(pa.array(np.logical_or.reduce(flagged)))
    return chosen.drop_columns([model_id_column(detector) for detector in detectors]).combine_chunks()


def bin_width(measure: str) -> float:
    """Width of the bins of a measure, in its unit; bin b holds [b * width, (b + 1) * width)."""
    widths = {algorithm.score_column: algorithm.bin_width for algorithm in ALGORITHMS.values()}
    return {**widths, "anomaly_score": 0.01, AMOUNT: 0.05}.get(measure, OTHER_BIN_WIDTH)


def amount_position(amounts: np.ndarray) -> np.ndarray:
    """Where amounts lie on a scale that is logarithmic away from 0: ``sign(a) * log10(1 + |a|)``, float64."""
    position: np.ndarray = np.sign(amounts) * np.log10(1.0 + np.abs(amounts))
    return position


def amount_at(position: np.ndarray) -> np.ndarray:
    """The amounts at such positions."""
    amounts: np.ndarray = np.sign(position) * (10.0 ** np.abs(position) - 1.0)
    return amounts


def _bins(values: np.ndarray, width: float) -> np.ndarray:
    """The bin of each value, int64: what a division rounds over an edge is put back."""
    bins = np.floor(values / width)
    bins -= values < bins * width
    bins += values >= (bins + 1) * width
    return bins.astype(np.int64)


def _counted(keys: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """Distinct keys in order, with how many rows have them."""
    names = list(keys)
    counted = pa.table(keys).group_by(names, use_threads=False).aggregate([([], "count_all")])
    ordered = counted.sort_by([(name, "ascending") for name in names])
    return ordered.rename_columns([*names, "n_rows"]).select(schema.names).cast(schema).combine_chunks()
