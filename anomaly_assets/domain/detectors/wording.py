"""How amounts, hours and shares read: in the reasons that detectors give, in reports and on pages."""


def amount_text(amount: float) -> str:
    """An amount with thousands separators and two decimals; with significant digits where those would say nothing."""
    size = abs(amount)
    if size >= 1e15 or 0 < size < 0.01:
        return f"{amount:.3g}"
    return f"{amount:,.2f}"


def hour_text(hour: int) -> str:
    """An hour of day, 0..23."""
    return f"hour {hour:02d} UTC"


def share_text(share: float | None, digits: int = 2) -> str:
    """A share of 0..1 in percent; a dash when there is nothing to divide by."""
    return "-" if share is None else f"{share:.{digits}%}"
