"""A TCP way to a unix socket that loses answers, hangs up or is slow, as told."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

Judge = Callable[[bytes], bool]


def never(_: bytes) -> bool:
    return False


class FaultyLink:
    """Forwards between 127.0.0.1:``port`` and the unix socket ``target``.

    Parameters
    ----------
    lose_answer : told every request; where true, the server gets it and its answer is lost
    hang_up : told every request; where true, the connection ends and the server never sees it
    delay : seconds every answer is held back
    """

    def __init__(self, target: Path, *, lose_answer: Judge = never, hang_up: Judge = never, delay: float = 0.0) -> None:
        self._target, self._lose_answer, self._hang_up, self.delay = target, lose_answer, hang_up, delay
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._ends: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in self._ends:
            end.close()

    def url(self, credentials: str = "") -> str:
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._target))
            self.connections += 1
            self._ends += [client, server]
            losing = threading.Event()
            for pump in (self._forward, self._answer):
                thread = threading.Thread(target=pump, args=(client, server, losing))
                self._threads.append(thread)
                thread.start()

    def _forward(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while request := client.recv(1 << 20):
                if self._hang_up(request):
                    break
                if self._lose_answer(request):
                    losing.set()
                server.sendall(request)
        self._end(client, server)

    def _answer(self, client: socket.socket, server: socket.socket, losing: threading.Event) -> None:
        with suppress(OSError):
            while answer := server.recv(1 << 20):
                if not losing.is_set():
                    time.sleep(self.delay)
                    client.sendall(answer)
        self._end(client, server)

    @staticmethod
    def _end(*ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
