"""What the store says of a server, against real servers set up wrongly in one way each."""

import dataclasses

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from anomaly_assets.adapters.store_health import Severity, StoreHealth, examine
from anomaly_assets.domain.errors import StoreRefused

POLICIES = ["allkeys-lru", "allkeys-random", "volatile-lru", "volatile-ttl"]


def found(health: StoreHealth) -> list[tuple[Severity, str]]:
    return [(problem.severity, problem.found) for problem in health.problems()]


def test_the_embedded_store_has_no_problems(server: Redis) -> None:
    health = examine(server)
    assert health.problems() == []
    assert (health.kind, health.role, health.mode) == ("valkey", "master", "standalone")
    assert (health.eviction_policy, health.append_only, health.snapshots) == ("noeviction", True, False)
    assert health.max_memory_bytes == 256 * 1024 * 1024
    health.require_publishable()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_that_evicts_is_refused_with_the_two_lines_that_mend_it(server: Redis, policy: str) -> None:
    server.config_set("maxmemory-policy", policy)
    with pytest.raises(StoreRefused, match=f"maxmemory-policy is {policy}") as refusal:
        examine(server).require_publishable()
    assert "`CONFIG SET maxmemory-policy noeviction`" in refusal.value.remedy
    assert "the line `maxmemory-policy noeviction`" in refusal.value.remedy


def test_the_remedy_for_the_policy_works_when_typed(server: Redis) -> None:
    server.config_set("maxmemory-policy", "allkeys-lru")
    [problem] = examine(server).problems()
    server.execute_command(*problem.remedy.split("`")[1].split())  # type: ignore[no-untyped-call]
    assert examine(server).problems() == []


def test_a_replica_is_refused(server: Redis) -> None:
    server.replicaof("127.0.0.1", "1")
    with pytest.raises(StoreRefused, match="replica"):
        examine(server).require_publishable()


def test_a_server_that_keeps_nothing_on_disk_is_warned_of_and_not_refused(server: Redis) -> None:
    server.config_set("appendonly", "no")
    health = examine(server)
    health.require_publishable()
    assert found(health) == [(Severity.WARN, "the server keeps nothing on disk: appendonly is no")]


def test_snapshots_alone_are_persistence(server: Redis) -> None:
    server.config_set("appendonly", "no")
    server.config_set("save", "3600 1")
    assert examine(server).problems() == []


def test_a_server_that_is_nearly_full_is_warned_of(server: Redis) -> None:
    server.set("big", bytes(4_000_000))
    server.config_set("maxmemory", int(server.info("memory")["used_memory"] * 1.02))
    [problem] = examine(server).problems()
    assert problem.severity is Severity.WARN
    assert "maxmemory are used" in problem.found


def test_cluster_mode_and_an_unknown_policy_are_refused(server: Redis) -> None:
    healthy = examine(server)
    for wrong in ({"mode": "cluster"}, {"eviction_policy": None}):
        with pytest.raises(StoreRefused, match=r"cluster|unknown"):
            dataclasses.replace(healthy, **wrong).require_publishable()


def test_it_works_for_a_user_that_may_not_ask_for_the_configuration(server: Redis, store_url: str) -> None:
    server.config_set("appendonly", "no")
    server.config_set("maxmemory-policy", "allkeys-lru")
    server.acl_setuser("limited", enabled=True, passwords=["+word"], keys=["*"], commands=["+@all", "-config"])
    with Redis.from_url(store_url.replace("unix://", "unix://limited:word@")) as limited:
        with pytest.raises(NoPermissionError):
            limited.config_get("save")
        health = examine(limited)
    assert [severity for severity, _ in found(health)] == [Severity.REFUSE, Severity.WARN]
    assert "could not be read" in found(health)[1][1]


def test_a_user_that_may_not_ask_at_all_gets_an_error_and_no_answer(server: Redis, store_url: str) -> None:
    server.acl_setuser("blind", enabled=True, passwords=["+word"], keys=["*"], commands=["+@all", "-info"])
    with Redis.from_url(store_url.replace("unix://", "unix://blind:word@")) as blind, pytest.raises(NoPermissionError):
        examine(blind)
