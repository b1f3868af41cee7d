"""Population artifacts: small tables of a day that a detector is given beside the rows of a wallet.

Those made with the window are sealed with ``training_window`` and named in recipes by digest; those made after the fits
are sealed with ``wallet_models`` and are in no recipe.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from hashlib import sha256

import pyarrow as pa
import pyarrow.compute as pc

from anomaly_assets.domain.detectors.base import Artifact, Detector, DetectorStatus, Model, OfDay
from anomaly_assets.domain.identity import digest_of
from anomaly_assets.domain.table_identity import table_digest
from anomaly_assets.domain.wallet_leaves import WALLET_COLUMNS
from anomaly_assets.domain.wallet_rows import WalletRows

LARGEST_BYTES = 1 << 20
"""Size of an artifact in memory, at most: it is read with every day."""
KINDS = (pa.float64(), pa.int64(), pa.bool_(), pa.string())
"""Types of its columns: what is read back of a file is what was written, to the digest."""
_PREFIX = "artifact"

Tables = Mapping[str, pa.Table]
"""Artifacts by the role under which they are sealed."""


def role_of(detector: str, artifact: str) -> str:
    """The role of a detector's artifact in a seal."""
    return f"{_PREFIX}.{detector}.{artifact}"


def roles_in(roles: Iterable[str], detector: str | None = None) -> list[str]:
    """Those roles of a seal that are artifacts (of one detector, or all), in the order of their names."""
    begin = f"{_PREFIX}." if detector is None else role_of(detector, "")
    return sorted(role for role in roles if role.startswith(begin))


def of_detector(tables: Tables, detector: str) -> dict[str, pa.Table]:
    """The artifacts of one detector, by their own names."""
    return {role.removeprefix(role_of(detector, "")): tables[role] for role in roles_in(tables, detector)}


def digests_of(tables: Tables) -> dict[str, str]:
    """Digest of the content of each artifact, by its role."""
    return {role: table_digest(tables[role]) for role in roles_in(tables)}


def revision_of(table: pa.Table, made_of: Sequence[str], artifacts: Tables) -> str:
    """Revision of a partition that holds ``table`` and artifacts, of which nothing is said when there are none."""
    digests = digests_of(artifacts)
    return digest_of([table_digest(table), *made_of, *([digests] if digests else [])])


def recipe_artifacts(detector: Detector) -> dict[str, str]:
    """What recipes of a detector name of the population: digests by name."""
    held = detector.of_day.artifacts if detector.of_day else {}
    return {need.name: table_digest(held[need.name]) for need in detector.needs.artifacts if not need.after_fits}


def recipe_window_end(detector: Detector) -> date | None:
    """The end of the window, for a detector whose recipes name it."""
    return detector.of_day.window_end if detector.of_day and detector.needs.window_end else None


def made_with_window(detectors: Iterable[Detector], window: WalletRows, window_end: date) -> dict[str, pa.Table]:
    """The artifacts that are made with a window, by role."""
    return {
        role_of(detector.name, need.name): _made(detector.given(OfDay(window_end)), need, window, window.wallet_ids)
        for detector in detectors
        for need in detector.needs.artifacts
        if not need.after_fits
    }


def made_after_fits(
    detectors: Iterable[Detector], window: WalletRows, models: Callable[[Detector, list[int]], Sequence[Model]]
) -> dict[str, pa.Table]:
    """The artifacts that are made after the fits, by role.

    Parameters
    ----------
    detectors : with what was made with the window
    models : the day's models of these wallets, indices into ``window``, in their order; all of them have one
    """
    tables: dict[str, pa.Table] = {}
    for detector in detectors:
        for need in detector.needs.artifacts:
            if need.after_fits:
                wallets = _sample(detector, window, need.max_wallets)
                made_of = window.select(wallets), window.wallet_ids, models(detector, wallets)
                tables[role_of(detector.name, need.name)] = _made(detector, need, *made_of)
    return tables


def _sample(detector: Detector, window: WalletRows, max_wallets: int) -> list[int]:
    """Of the wallets that can be fitted those whose ids have the smallest digests, as the window has them.

    Which ones does not depend on their order, and hardly on the day.
    """
    fitted = [w for w, status in enumerate(detector.eligibility(window)) if status is DetectorStatus.JUDGED]
    fitted.sort(key=lambda wallet: sha256(window.wallet_ids[wallet].encode()).digest())
    return sorted(fitted[:max_wallets])


def _made(
    detector: Detector, need: Artifact, window: WalletRows, wallet_ids: Sequence[str], models: Sequence[Model] = ()
) -> pa.Table:
    """Raises ``ValueError`` for a table that is not small, names one of these wallets or has columns of other types."""
    table, what = detector.artifact(need.name, window, models), f"the artifact {need.name} of {detector.name}"
    if table.nbytes > LARGEST_BYTES:
        raise ValueError(f"{what} has {table.nbytes:,} bytes, and at most {LARGEST_BYTES:,} are read with every day")
    for field in table.schema:
        if field.type not in KINDS:
            raise ValueError(
                f"{what} has a column {field.name} of type {field.type}, not one of {', '.join(map(str, KINDS))}"
            )
        texts = table.column(field.name).unique() if field.type == pa.string() else pa.array([], pa.string())
        if field.name in WALLET_COLUMNS or pc.any(pc.is_in(texts, pa.array(wallet_ids, pa.string()))).as_py():
            raise ValueError(f"{what} has a column {field.name} that names wallets, and it stays after an erasure")
    return table


def given_tables(detector: Detector, tables: Tables, window_end: date) -> Detector:
    """A detector with its artifacts among these, and the end of the window."""
    return detector.given(OfDay(window_end, of_detector(tables, detector.name)))


def given_window(detector: Detector, window: WalletRows, window_end: date) -> Detector:
    """A detector with all its artifacts made now, of the wallets of ``window``, those after the fits as well."""
    tables = made_with_window([detector], window, window_end)
    fits = given_tables(detector, tables, window_end)
    tables |= made_after_fits([fits], window, lambda _, wallets: fits.fit(window, wallets))
    return given_tables(detector, tables, window_end)
