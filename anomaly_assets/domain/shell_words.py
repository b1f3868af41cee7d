"""Foreign text in commands that are shown to be copied: the shell gets the same text, and the page shows all of it."""

import shlex

LONGEST_WORD = 48
"""A longer argument is given in parts, which a page can put on several lines."""
_PART = 32


def shell_argument(text: str) -> str:
    """``text`` as one word of a command line, in one line without anything invisible.

    What a page would swallow or hide (control characters, spaces at an end or in a row, a backslash before a bar) is
    written as in C, ``$'a\\x0ab'``, which bash and zsh understand.
    """
    hidden = not text.isprintable() or text != text.strip() or "  " in text or "\\|" in text
    if not hidden:
        return shlex.quote(text)
    return "$'" + "".join(_in_c(char) for char in text) + "'"


def command_for(verb: str, tx_id: str) -> str:
    """The command of this project that does ``verb`` with a transaction."""
    if len(shell_argument(tx_id)) <= LONGEST_WORD:
        argument = shell_argument(tx_id)
    else:
        parts = [tx_id[begin : begin + _PART] for begin in range(0, len(tx_id), _PART)]
        argument = f'"$(printf %s {" ".join(map(shell_argument, parts))})"'
    return f"anomaly-assets {verb} {'-- ' if tx_id.startswith('-') else ''}{argument}"


def _in_c(char: str) -> str:
    if char.isprintable() and char not in " '\\":
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
