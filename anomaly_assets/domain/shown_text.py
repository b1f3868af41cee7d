"""Foreign text that is shown: in one line, and nothing of it invisible."""


def shown(text: object) -> str:
    """``text`` with what cannot be seen (control characters, escape sequences, marks of direction) written as in C.

    A page or a terminal shows what comes out as it stands; what it was can be read from it.
    """
    return "".join(char if char.isprintable() else _in_c(char) for char in str(text))


def shortened(text: object, longest: int) -> str:
    """Like :func:`shown`, at most ``longest`` characters, the last of them dots where some are left out."""
    whole = shown(text)
    return whole if len(whole) <= longest else whole[: longest - 1] + "…"


def _in_c(char: str) -> str:
    code = ord(char)
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
