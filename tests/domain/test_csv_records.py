"""Where CSV records end, against Python's own parser."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomaly_assets.domain.csv_records import Records, complete_records

COMMA = ord(",")


def scanned(text: str, *, final: bool = True, most: int = -1) -> Records:
    return complete_records(np.frombuffer(text.encode(), np.uint8), COMMA, final=final, most=most)


@pytest.mark.parametrize(
    ("text", "final", "expected"),
    [
        ("", True, (0, 0, 0, 0)),
        ("a,b\nc,d\n", False, (8, 2, 2, 0)),
        ("a,b\nc,d", False, (4, 1, 1, 0)),
        ("a,b\nc,d", True, (7, 2, 2, 0)),
        ("a\r\nb\r", False, (3, 1, 1, 0)),
        ("a\r\nb\r", True, (5, 2, 2, 0)),
        ("a\rb\r", True, (4, 2, 2, 0)),
        ("\n\r\n\na\n", True, (6, 1, 4, 0)),
        ('"a\nb",c\nd', False, (8, 1, 2, 0)),
        ('"a""\n",c\n', True, (9, 1, 2, 0)),
        ('x\n"open\nb\n', False, (2, 1, 1, 0)),
        ('x\n"open\nb\n', True, (2, 1, 1, 2)),
        ('x\ny,"late\nb"c\n', True, (2, 1, 1, 2)),
        ('5" pipe,"a"b\n', True, (13, 1, 1, 0)),
    ],
)
def test_records_end_where_a_line_ends_outside_quotes(text: str, final: bool, expected: tuple[int, ...]) -> None:
    assert scanned(text, final=final) == expected


def test_the_first_record_can_be_asked_for_alone() -> None:
    assert scanned('"a\nb",c\nd,e\nf,g\n', final=False, most=1) == (8, 1, 2, 0)


@given(
    st.lists(st.lists(st.text('a"\n\r, é'), min_size=2, max_size=3), max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.integers(0, 60),
)
@settings(deadline=None)
def test_text_cut_anywhere_holds_the_records_that_python_reads(rows: list[list[str]], end: str, cut: int) -> None:
    """The complete records before a cut, and the records after their end, are all there are."""
    written = io.StringIO(newline="")
    csv.writer(written, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(rows)
    text = written.getvalue()
    before = scanned(text[:cut], final=False)
    assert before.bad_line == 0
    rest = text.encode()[before.end :].decode()
    after = scanned(rest)
    assert (before.n_records + after.n_records, after.bad_line) == (len(rows), 0)
    assert list(csv.reader(io.StringIO(rest, newline=""))) == rows[before.n_records :]
