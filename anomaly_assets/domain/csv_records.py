"""Where the records of CSV text end, quotes respected: what a streaming reader may cut, and what it must refuse."""

from typing import NamedTuple

import numpy as np

from anomaly_assets.domain.portable import compiled

_QUOTE, _CR, _LF = 34, 13, 10
_FIELD_START, _PLAIN, _QUOTED, _AFTER_QUOTE = 0, 1, 2, 3


class Records(NamedTuple):
    """The complete records at the start of a text.

    Parameters
    ----------
    end : bytes they take
    n_records : how many there are; empty lines are none
    n_lines : lines they take, those inside quotes included
    bad_line : 0, or the line (from 1) with a quote that is closed after a line break and before more text: it
        swallowed rows
    """

    end: int
    n_records: int
    n_lines: int
    bad_line: int


def complete_records(text: np.ndarray, delimiter: int, *, final: bool, most: int = -1) -> Records:
    """The complete records at the start of ``text``, which starts with a record.

    Parameters
    ----------
    text : uint8 (n_bytes,), in any encoding that keeps ASCII
    delimiter : its byte
    final : the text ends here, so its last record needs no line break
    most : how many records at most, -1: all

    With ``final`` a quote that is never closed is told in ``bad_line``.
    """
    return Records(*map(int, _scan(text, delimiter, final, most)))


@compiled
def _scan(text: np.ndarray, delimiter: int, final: bool, most: int) -> tuple[int, int, int, int]:  # noqa: FBT001, PLR0912
    size, at, start = len(text), 0, 0
    n_records, n_lines, n_lines_before, quote_line = 0, 0, 0, 0
    state = _FIELD_START
    while at < size and n_records != most:
        byte = text[at]
        at += 1
        if state == _QUOTED:
            if byte == _QUOTE:
                state = _AFTER_QUOTE
            elif byte == _LF:
                n_lines += 1
        elif byte in (_LF, _CR):
            if byte == _CR and at == size and not final:
                break  # a line feed may follow
            if at - 1 > start:
                n_records += 1  # an empty line is no record
            if byte == _CR and at < size and text[at] == _LF:
                at += 1
            n_lines += 1
            start, n_lines_before, state = at, n_lines, _FIELD_START
        elif byte == delimiter:
            state = _FIELD_START
        elif byte == _QUOTE and state != _PLAIN:
            if state == _FIELD_START:
                quote_line = n_lines + 1
            state = _QUOTED
        elif state == _AFTER_QUOTE and n_lines >= quote_line:
            return start, n_records, n_lines_before, quote_line
        else:
            state = _PLAIN
    if final and at == size and start < size:
        if state == _QUOTED:
            return start, n_records, n_lines_before, quote_line
        return size, n_records + 1, n_lines + 1, 0
    return start, n_records, n_lines_before, 0
