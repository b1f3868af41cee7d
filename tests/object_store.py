"""A local S3 server, a process of its own, for tests: requests go through the real protocol and Arrow's real client."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pyarrow.fs as pafs
import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What the client looks for in the environment."""
BUCKET = "bucket"
START_SECONDS = 60.0


@contextmanager
def object_store() -> Iterator[str]:
    """Parameters of URIs of a running server that has the bucket ``BUCKET``, and its keys in the environment.

    Both end with the block.
    """
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        port = chosen.getsockname()[1]
    with pytest.MonkeyPatch.context() as environment:
        for name, value in CREDENTIALS.items():
            environment.setenv(name, value)
        with _server(port):
            parameters = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
            filesystem, _ = pafs.FileSystem.from_uri(f"s3://{BUCKET}?{parameters}&allow_bucket_creation=true")
            filesystem.create_dir(BUCKET)
            yield parameters


@contextmanager
def _server(port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(server, port)
        yield
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the local S3 server ended with {server.returncode}"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"the local S3 server did not answer within {START_SECONDS:g} s")
