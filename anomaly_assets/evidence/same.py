"""What is recorded against what comes out now, and the sentence on the first difference."""

import pyarrow as pa

from anomaly_assets.domain.errors import CorruptFile
from anomaly_assets.domain.table_identity import table_digest


def require_same(what: str, recorded: object, found: object) -> None:
    """Raise ``CorruptFile`` naming ``what`` unless both are equal."""
    if recorded != found:
        raise CorruptFile(
            f"{what} comes out as {str(found)[:64]}",
            expected=f"what is recorded, {str(recorded)[:64]}",
            remedy="something was changed after it was published: restore it from a copy, or run the day again",
        )


def require_same_rows(recorded: pa.Table, again: pa.Table) -> None:
    """Raise ``CorruptFile`` naming the first row and column that differ, bit by bit."""
    if table_digest(recorded) == table_digest(again):
        return
    key = recorded.column_names[0]
    require_same("the number of rows", recorded.num_rows, again.num_rows)
    for name in recorded.column_names:
        if table_digest(recorded.select([name])) != table_digest(again.select([name])):
            pairs = zip(recorded.column(name).to_pylist(), again.column(name).to_pylist(), strict=True)
            place = next((place for place, (old, new) in enumerate(pairs) if old != new), 0)
            who = recorded.column(key)[place].as_py()
            require_same(f"{name} of {who!r}", recorded.column(name)[place].as_py(), again.column(name)[place].as_py())
    raise CorruptFile("the rows come out in another form", expected="the columns that are recorded")
