"""Where commands print: as wide as a terminal, and unwrapped where a program or a file reads."""

from rich.console import Console, ConsoleDimensions

UNWRAPPED = 1_000_000
"""Letters of a line where nobody looks: what is cut or wrapped there cannot be searched, counted or copied."""


class CommandConsole(Console):
    """A console that neither wraps nor cuts what is piped, whatever the width of the terminal it was started from."""

    @property
    def size(self) -> ConsoleDimensions:
        """Columns and lines."""
        width, height = super().size
        return ConsoleDimensions(width if self._is_looked_at() else UNWRAPPED, height)

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._width, self._height = size

    def on_broken_pipe(self) -> None:
        """Let the error through that is being handled: whoever stops reading is met where commands end."""
        raise  # noqa: PLE0704 - rich calls this while it handles it

    def _is_looked_at(self) -> bool:
        """Whether somebody sees it at a terminal; colours can be asked for without one."""
        is_terminal = getattr(self.file, "isatty", None)
        return bool(is_terminal and is_terminal())
