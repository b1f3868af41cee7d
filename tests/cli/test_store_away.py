"""A backfill whose model store is away scores its days and says so; called again, it makes up what the store missed."""

import json

from cli.conftest import PERIOD, SMALL, Shell

NOBODY = {"REDIS_URL": "redis://127.0.0.1:1/0"}


def test_a_backfill_without_its_store_scores_every_day_and_the_next_one_serves_them(shell: Shell) -> None:
    away = shell.run_apart(*PERIOD, "--json", **SMALL, **NOBODY)
    assert away.returncode == 0, away.stderr
    told = json.loads(away.stdout)
    assert (len(told["detected"]), told["failed"]) == (3, [])
    assert "the models of 2024-01-09 could not be served" in told["store_waits"][0]
    files = shell.results()
    assert "the model store is behind" in shell.run("doctor", **SMALL).stdout
    status = shell.run("store", "status", **SMALL, **NOBODY)
    assert (status.returncode, "not told yet" in status.stdout) == (3, True)

    again = shell.run_apart(*PERIOD, "--json", **SMALL)
    told = json.loads(again.stdout)
    assert (len(told["up_to_date"]), told["store_waits"]) == (3, [])
    assert shell.results() == files
    assert shell.run("store", "status", **SMALL).returncode == 0
    published = shell.run_apart("store", "publish", **SMALL)
    assert published.stdout.startswith("models of 2024-01-09")
    assert "unchanged" in published.stdout
