"""A stand-in for Snowflake: fakesnow's HTTP server in a process of its own, with faults on demand.

The true connector talks to it over HTTP. Run as a script this is the server; imported, it starts one and speaks to it.
What it cannot show is listed in docs/sources.md.
"""

import gzip
import importlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import requests

CANARY = "canary-password"
"""Must never be seen anywhere."""
_databases = count()


@dataclass(frozen=True)
class StandIn:
    """A running server and a database of its own in it."""

    port: int
    database: str

    @property
    def table(self) -> str:
        """Where tests put their transactions."""
        return f"{self.database}.PUBLIC.TRANSACTIONS"

    def sql(self, *statements: str) -> list[list[Any]]:
        """Run DuckDB's SQL behind the server's back; rows of the last statement."""
        return self._post("/test/sql", list(statements))["rows"]

    def administer(self, *statements: str) -> None:
        """Run Snowflake's SQL inside the server."""
        self._post("/test/administer", list(statements))

    def fail(self, match: str, *, skip: int = 0, times: int = 1_000_000, **how: Any) -> None:
        """Meet requests whose statement (or ``login``) matches: skip some, then answer ``times`` of them ``how``.

        ``code``, ``sqlstate`` and ``message`` are an error of Snowflake, ``cut`` ends the answer midway, ``status`` is
        one of HTTP, ``lost`` says yes and does nothing, ``sql`` runs first, behind the reader's back.
        """
        self._post("/test/fail", {"match": match, "skip": skip, "times": times, **how})

    def calm(self) -> None:
        """No more faults, nothing seen."""
        self._post("/test/calm", None)

    def seen(self, match: str = "") -> list[dict[str, Any]]:
        """Statements that came in, with their binds and the session parameters of their login."""
        found = self._post("/test/seen", None)["seen"]
        return [one for one in found if re.search(match, one["sql"])]

    def open_sessions(self) -> int:
        """Sessions that were not closed."""
        number: int = self._post("/test/seen", None)["sessions"]
        return number

    def settings(self, **more: Any) -> dict[str, Any]:
        """Dotted settings that lead a deployment here."""
        return {
            "snowflake.account": "Stand-In",
            "snowflake.user": "reader",
            "snowflake.password_env": "SNOWFLAKE_TEST_PASSWORD",
            "snowflake.host": "127.0.0.1",
            "snowflake.port": self.port,
            "snowflake.unencrypted_loopback": True,
            "snowflake.login_timeout_seconds": 5,
            "snowflake.network_timeout_seconds": 2,
            "snowflake.retry_wait_seconds": 0.01,
            **more,
        }

    def _post(self, path: str, body: Any) -> Any:
        answer = requests.post(f"http://127.0.0.1:{self.port}{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def running() -> Iterator[int]:
    """A server for as long as the block lasts; yields its port."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(scope="session")
def snowflake_port() -> Iterator[int]:
    """A local stand-in for Snowflake."""
    with running() as port:
        yield port


@pytest.fixture
def stand_in(snowflake_port: int, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A database of the stand-in that nobody used, no faults, and the password its settings name."""
    monkeypatch.setenv("SNOWFLAKE_TEST_PASSWORD", CANARY)
    return fresh(snowflake_port)


def fresh(port: int) -> StandIn:
    """A database nobody used, and no faults."""
    stand_in = StandIn(port, f"SHOP{os.getpid()}_{next(_databases)}")
    stand_in.calm()
    stand_in.administer(
        f"CREATE DATABASE {stand_in.database}", f"CREATE SCHEMA IF NOT EXISTS {stand_in.database}.PUBLIC"
    )
    return stand_in


class _Faults:
    """ASGI middleware in front of fakesnow."""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        asked = {"/queries/v1/query-request": "sqlText", "/session/v1/login-request": "login"}.get(scope.get("path"))
        if asked is None:
            await self.app(scope, receive, send)
            return
        body = await _body(receive)
        content = json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        statement = "login" if asked == "login" else content[asked]
        self.state["seen"].append({"sql": statement, "binds": content.get("bindings"), "data": content.get("data")})
        fault = self._fault(statement)
        for sql in fault.get("sql", []):
            self.state["run"](sql)
        if "cut" in fault:
            await _answer(send, 200, b'{"data": {"rowset', length=1_000_000)
        elif "lost" in fault:
            await _answer(send, 200, json.dumps(_NOTHING_DONE).encode())
        elif "status" in fault:
            await _answer(send, fault["status"], b"{}")
        elif "code" in fault:
            await _answer(send, 200, json.dumps(_error(fault)).encode())
        elif asked == "login":
            await self._log_in(scope, _replayed(body, receive), send)
        else:
            await self.app(scope, _replayed(body, receive), send)

    async def _log_in(self, scope: Any, receive: Any, send: Any) -> None:
        """fakesnow gives no master token, and without one the connector does not end its session."""
        sent: list[bytes] = []

        async def keep(message: Any) -> None:
            sent.append(message.get("body", b""))

        await self.app(scope, receive, keep)
        answer = json.loads(b"".join(sent))
        answer["data"]["masterToken"] = "master"
        await _answer(send, 200, json.dumps(answer).encode())

    def _fault(self, statement: str) -> dict[str, Any]:
        for fault in self.state["faults"]:
            if re.search(fault["match"], statement):
                if fault["skip"] > 0:
                    fault["skip"] -= 1
                elif fault["times"] > 0:
                    fault["times"] -= 1
                    return dict(fault)
        return {}


_NOTHING_DONE = {
    "data": {
        "parameters": [],
        "rowtype": [
            {
                "name": "number of rows inserted",
                "type": "fixed",
                "precision": 38,
                "scale": 0,
                "length": None,
                "nullable": True,
            }
        ],
        "rowset": [["0"]],
        "queryResultFormat": "json",
        "total": 1,
        "queryId": "lost",
        "statementTypeId": 12544,
    },
    "success": True,
}


def _error(fault: dict[str, Any]) -> dict[str, Any]:
    data = {"errorCode": fault["code"], "sqlState": fault.get("sqlstate", "")}
    return {"data": data, "code": fault["code"], "message": fault.get("message", "no"), "success": False}


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


def _replayed(body: bytes, receive: Any) -> Callable[[], Any]:
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Any:
        return parts.pop() if parts else await receive()

    return again


async def _answer(send: Any, status: int, body: bytes, length: int | None = None) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(length or len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": length is not None})


def _serve() -> None:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Mount, Route

    fakesnow: Any = importlib.import_module("fakesnow.server")

    def run(sql: str) -> list[Any]:
        cursor = fakesnow.shared_fs.duck_conn.cursor()
        return cursor.execute(sql).fetchall()

    state: dict[str, Any] = {"faults": [], "seen": [], "run": run}

    async def sql(request: Request) -> JSONResponse:
        rows: list[Any] = []
        for statement in await request.json():
            rows = await run_in_threadpool(run, statement)
        return JSONResponse({"rows": json.loads(json.dumps(rows, default=str))})

    async def administer(request: Request) -> JSONResponse:
        cursor = fakesnow.shared_fs.connect().cursor()
        for statement in await request.json():
            await run_in_threadpool(cursor.execute, statement)
        return JSONResponse({})

    async def fail(request: Request) -> JSONResponse:
        state["faults"].append(await request.json())
        return JSONResponse({})

    async def calm(_: Request) -> JSONResponse:
        state["faults"].clear()
        state["seen"].clear()
        fakesnow.sessions.clear()
        return JSONResponse({})

    async def seen(_: Request) -> JSONResponse:
        return JSONResponse({"seen": state["seen"], "sessions": len(fakesnow.sessions)})

    control = [Route(f"/test/{f.__name__}", f, methods=["POST"]) for f in (sql, administer, fail, calm, seen)]
    app = Starlette(routes=[*control, Mount("/", _Faults(fakesnow.app, state))])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    threading.Thread(target=_tell_port, args=(server,), daemon=True).start()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    server.run()


def _tell_port(server: Any) -> None:
    while not server.started:
        time.sleep(0.02)
    sys.stdout.write(f"{server.servers[0].sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()


def _end_with(parent: int) -> None:
    """No server outlives the tests, however they end."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    _serve()
