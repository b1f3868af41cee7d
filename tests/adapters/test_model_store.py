"""The model store's contract, against a real server."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published_examples import DAY, HOME, contents, keys_of, model, models, publication, served
from redis import Redis

from anomaly_assets.adapters.model_store import ModelKey, ModelStore, PublishedModel, PublishOutcome
from anomaly_assets.adapters.publication import KeySpace, PublicationState, in_batches
from anomaly_assets.domain.errors import HomeMismatch, ModelConflict, StoreRefused, StoreUnavailable

NOW = 1_720_000_000.5
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
"""Any text that can be written in UTF-8: colons, NUL, controls, right-to-left letters, nothing at all."""
TYPE = TEXT.filter(lambda text: text and ":" not in text)


@pytest.fixture
def store(store_url: str) -> Iterator[ModelStore]:
    with ModelStore.connect(store_url, home_id=HOME) as store:
        yield store


def publish(store: ModelStore, of: list[PublishedModel], as_of: date = DAY, generation: int = 1) -> PublishOutcome:
    return store.publish(publication(of, as_of, generation), of, now=NOW)


def test_keys_fields_and_scores_are_those_of_the_contract(store: ModelStore, server: Redis) -> None:
    published = model("w:1", "isolation_forest")
    whole = publication([published], generation=3, manifest="m", settings_id="s", run_id="r")
    assert store.publish(whole, [published], now=NOW) is PublishOutcome.PUBLISHED
    assert set(server.keys()) == {b"model:isolation_forest:w:1", b"model_updates", b"models:published", b"models:home"}
    assert server.hgetall("model:isolation_forest:w:1") == {
        b"payload": published.payload,
        b"model_id": published.model_id.encode(),
        b"recipe_id": published.recipe_id.encode(),
        b"as_of": b"2024-07-01",
        b"generation": b"3",
        b"window_start": b"2024-01-03",
        b"window_end": b"2024-07-01",
        b"n_transactions": b"33",
        b"settings_id": b"s",
        b"format_version": b"1",
        b"run_id": b"r",
    }
    assert server.zrange("model_updates", 0, -1, withscores=True) == [(b"isolation_forest:w:1", NOW)]
    assert server.hgetall("models:published") == {
        b"as_of": b"2024-07-01",
        b"generation": b"3",
        b"state": b"complete",
        b"count": b"1",
        b"manifest": b"m",
        b"settings_id": b"s",
    }
    assert server.get("models:home") == HOME.encode()


def test_every_key_has_the_prefix(store_url: str, server: Redis) -> None:
    with ModelStore.connect(store_url, home_id=HOME, key_prefix="team*a:") as store:
        publish(store, models(0, 2))
        assert served(store, models(0, 2))
    assert all(key.startswith(b"team*a:model") for key in keys_of(server))


def test_what_was_published_is_what_is_read(store: ModelStore) -> None:
    wanted = models(0, 500)
    assert publish(store, wanted) is PublishOutcome.PUBLISHED
    assert served(store, wanted)
    record = store.published()
    assert record is not None
    assert (record.as_of, record.generation, record.count) == (DAY, 1, 1000)
    assert record.state is PublicationState.COMPLETE


def test_an_empty_store_serves_nothing_and_says_so(store: ModelStore) -> None:
    assert store.published() is None
    assert store.read([ModelKey("statistical", "w")], as_of=DAY, generation=1) is None
    assert store.published_model_ids(as_of=DAY, generation=1) is None
    assert store.count() == 0


def test_a_day_without_models_is_a_publication_too(store: ModelStore, server: Redis) -> None:
    publish(store, models(0, 2), DAY)
    assert publish(store, [], DAY + timedelta(days=1)) is PublishOutcome.PUBLISHED
    assert served(store, [], DAY + timedelta(days=1))
    assert server.keys("model:*") == []


def test_another_day_or_generation_is_never_read(store: ModelStore) -> None:
    wanted = models(0, 3)
    publish(store, wanted, generation=2)
    for as_of, generation in [(DAY, 1), (DAY, 3), (DAY + timedelta(days=1), 2), (DAY - timedelta(days=1), 2)]:
        assert store.read([wanted[0].key], as_of=as_of, generation=generation) is None
        assert store.published_model_ids(as_of=as_of, generation=generation) is None


def test_models_of_vanished_wallets_are_deleted_with_their_listing(store: ModelStore, server: Redis) -> None:
    publish(store, models(0, 700))
    tomorrow = DAY + timedelta(days=1)
    publish(store, models(690, 20), tomorrow)
    assert served(store, models(690, 20), tomorrow)
    assert len(server.keys("model:*")) == 40


def test_an_older_day_or_generation_is_superseded_and_changes_nothing(store: ModelStore, server: Redis) -> None:
    publish(store, models(0, 5), DAY, 10)
    before = contents(server)
    older = [(DAY - timedelta(days=1), 99), (DAY, 9), (date(999, 12, 31), 11)]
    for as_of, generation in older:
        assert publish(store, models(3, 9, content="older"), as_of, generation) is PublishOutcome.SUPERSEDED
        assert contents(server) == before


def test_a_newer_generation_of_the_day_replaces_it(store: ModelStore) -> None:
    publish(store, models(0, 5), DAY, 9)
    newer = models(1, 5, content="newer")
    assert publish(store, newer, DAY, 10) is PublishOutcome.PUBLISHED
    assert served(store, newer, DAY, 10)


def test_publishing_the_same_again_changes_no_key_not_even_the_update_times(store: ModelStore, server: Redis) -> None:
    wanted = models(0, 300)
    publish(store, wanted)
    before = {key: server.dump(key) for key in keys_of(server)}
    again = publication(wanted, run_id="another run")
    assert store.publish(again, iter(wanted), now=NOW + 60) is PublishOutcome.UNCHANGED
    assert {key: server.dump(key) for key in keys_of(server)} == before


def test_one_generation_with_another_model_is_a_conflict_that_overwrites_nothing(
    store: ModelStore, server: Redis
) -> None:
    publish(store, models(0, 5))
    before = contents(server)
    with pytest.raises(ModelConflict, match=r"another statistical model of wallet 'wallet:4'"):
        publish(store, [*models(0, 5)[:-1], model("wallet:4", content="different")])
    assert contents(server) == before


@pytest.mark.parametrize("changed", [{"manifest": "other"}, {"settings_id": "other"}])
def test_one_generation_with_another_content_is_a_conflict(
    store: ModelStore, server: Redis, changed: dict[str, Any]
) -> None:
    wanted = models(0, 2)
    publish(store, wanted)
    before = contents(server)
    with pytest.raises(ModelConflict, match="another content"):
        store.publish(publication(wanted, **changed), wanted, now=NOW)
    with pytest.raises(ModelConflict, match="another content"):
        publish(store, wanted[1:])
    assert contents(server) == before


def test_a_damaged_publication_is_mended_and_is_incomplete_meanwhile(store: ModelStore, server: Redis) -> None:
    wanted = models(0, 150)
    publish(store, wanted)
    whole = contents(server)
    server.delete("model:statistical:wallet:3")
    server.zrem("model_updates", "statistical:wallet:4")
    server.hset("model:statistical:wallet:5", "payload", b"not the payload")
    server.hset("model:statistical:stranger", mapping={"generation": "1", "as_of": DAY.isoformat(), "model_id": "x"})
    server.delete("model:statistical:wallet:6")
    server.set("model:statistical:wallet:6", b"not even a hash")
    states = []

    def look(point: str) -> None:
        record = store.published()
        assert record is not None
        states.append((point, record.state))

    assert store.publish(publication(wanted), wanted, now=NOW, checkpoint=look) is PublishOutcome.PUBLISHED
    assert ("batch", PublicationState.WRITING) in states
    assert states[-1] == ("complete", PublicationState.COMPLETE)
    assert contents(server) == whole


@pytest.mark.parametrize("lose", [True, False], ids=["one is lost", "one lists no model"])
def test_a_wrong_listing_is_mended(store: ModelStore, server: Redis, lose: bool) -> None:
    wanted = models(0, 3)
    publish(store, wanted)
    whole = contents(server)
    if lose:
        server.zrem("model_updates", "statistical:wallet:1")
    else:
        server.zadd("model_updates", {"statistical:nobody": 1.0})
    assert publish(store, wanted) is PublishOutcome.PUBLISHED
    assert contents(server) == whole


def test_a_key_that_is_no_model_of_the_publication_is_not_taken(store: ModelStore, server: Redis) -> None:
    wanted = models(0, 5)
    publish(store, wanted)
    server.delete("model:statistical:wallet:0", "model:statistical:wallet:1")
    server.set("model:statistical:wallet:0", b"cos\nsystem\n(S'touch /tmp/owned'\ntR.")
    server.hset("model:statistical:wallet:2", "generation", "2")
    server.hset("model:statistical:wallet:3", "as_of", "2024-06-30")
    server.hdel("model:statistical:wallet:4", "payload")
    found = store.read([item.key for item in wanted], as_of=DAY, generation=1)
    assert found is not None
    assert set(found) == {item.key for item in wanted if item.model_type == "isolation_forest"}


def test_keys_of_others_beside_ours_are_left_alone(store: ModelStore, server: Redis) -> None:
    server.hset("model:somebody", "field", "theirs")
    server.set("model:statistical:text", "theirs")
    server.set("models", "theirs")
    publish(store, models(0, 3))
    publish(store, models(3, 3), DAY + timedelta(days=1))
    assert server.hgetall("model:somebody") == {b"field": b"theirs"}
    assert server.mget("model:statistical:text", "models") == [b"theirs", b"theirs"]


@pytest.mark.parametrize("key", ["models:published", "model_updates", "models:home"])
def test_keys_of_another_kind_in_our_places_are_refused(store: ModelStore, server: Redis, key: str) -> None:
    server.rpush(key, "theirs")
    with pytest.raises(StoreRefused, match=key) as refusal:
        publish(store, models(0, 3))
    assert "redis.key_prefix" in refusal.value.remedy
    assert server.keys() == [key.encode()]


def test_a_record_of_somebody_else_is_refused_by_publisher_and_reader(store: ModelStore, server: Redis) -> None:
    server.set("models:home", HOME)
    server.hset("models:published", "theirs", "1")
    with pytest.raises(StoreRefused, match="models:published"):
        publish(store, models(0, 3))
    with pytest.raises(StoreRefused, match="no publication record"):
        store.published()


def test_a_prefix_that_serves_another_home_is_refused(store: ModelStore, store_url: str, server: Redis) -> None:
    wanted = models(0, 3)
    publish(store, wanted)
    before = contents(server)
    with ModelStore.connect(store_url, home_id="another home") as stranger:
        for attempt in (
            lambda: publish(stranger, wanted, DAY + timedelta(days=1)),
            lambda: stranger.read([wanted[0].key], as_of=DAY, generation=1),
            stranger.published,
        ):
            with pytest.raises(HomeMismatch, match=HOME) as mismatch:
                attempt()
            assert "redis.key_prefix" in mismatch.value.remedy
    assert contents(server) == before


def test_two_homes_live_side_by_side_under_prefixes_however_they_look(store_url: str, server: Redis) -> None:
    prefixes = ["", "a", "a*", "a?", "[a]", "a\\", "ä:"]
    stores = [ModelStore.connect(store_url, home_id=f"home {p}", key_prefix=p) for p in prefixes]
    for number, store in enumerate(stores):
        publish(store, models(number, 2))
    for number, store in enumerate(stores):
        publish(store, models(number + 1, 2), DAY + timedelta(days=1))
    for number, store in enumerate(stores):
        assert served(store, models(number + 1, 2), DAY + timedelta(days=1))
        store.close()


def test_a_prefix_that_would_put_keys_among_those_of_other_homes_is_refused(store_url: str) -> None:
    with pytest.raises(StoreRefused, match="key_prefix"):
        ModelStore.connect(store_url, home_id=HOME, key_prefix="model:x:")


def test_a_server_that_evicts_is_refused_before_anything_is_written(store: ModelStore, server: Redis) -> None:
    server.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreRefused, match="allkeys-lru"):
        publish(store, models(0, 3))
    assert server.keys() == []


@pytest.mark.parametrize("as_iterator", [False, True])
def test_an_oversized_payload_is_refused_with_wallet_and_size(store_url: str, server: Redis, as_iterator: bool) -> None:
    with ModelStore.connect(store_url, home_id=HOME, max_payload_bytes=1000) as store:
        wanted = [*models(0, 200), model("the big one", size=1001), *models(200, 200)]
        with pytest.raises(StoreRefused, match=r"'the big one' has 1,001 bytes"):
            store.publish(publication(wanted), iter(wanted) if as_iterator else wanted, now=NOW)
        record = store.published()
        if as_iterator:
            assert record is not None
            assert record.state is PublicationState.WRITING
        else:
            assert server.keys() == []
        assert server.config_get("maxmemory"), "the connection is still good"


def test_a_source_of_models_that_breaks_off_completes_nothing(store: ModelStore) -> None:
    wanted = models(0, 300)

    def broken() -> Iterator[PublishedModel]:
        yield from wanted[:250]
        raise OSError("the archive went away")

    with pytest.raises(OSError, match="went away"):
        store.publish(publication(wanted), broken(), now=NOW)
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None
    assert publish(store, wanted) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


@pytest.mark.parametrize(
    "given_models", [models(0, 3)[:-1], [*models(0, 3), model("more")], [*models(0, 3), *models(0, 1)]]
)
def test_more_fewer_or_repeated_models_complete_nothing(store: ModelStore, given_models: list[PublishedModel]) -> None:
    with pytest.raises(ValueError, match="models"):
        store.publish(publication(models(0, 3)), given_models, now=NOW)
    record = store.published()
    assert record is not None
    assert record.state is PublicationState.WRITING


@pytest.mark.parametrize("n_wallets", [450, 50], ids=["between two batches", "after the last batch"])
def test_a_publication_that_begins_while_one_is_written_wins_when_it_is_newer(
    store: ModelStore, store_url: str, server: Redis, n_wallets: int
) -> None:
    older, newer = models(0, n_wallets), models(10, n_wallets, content="newer")
    outcomes: list[PublishOutcome] = []

    def interfere(point: str) -> None:
        if point == "batch" and not outcomes:
            with ModelStore.connect(store_url, home_id=HOME) as other:
                outcomes.append(publish(other, newer, DAY, 2))

    assert store.publish(publication(older), older, now=NOW, checkpoint=interfere) is PublishOutcome.SUPERSEDED
    assert outcomes == [PublishOutcome.PUBLISHED]
    assert served(store, newer, DAY, 2)
    assert len(keys_of(server, "model:*")) == 2 * n_wallets


@pytest.mark.parametrize("point", ["begin", "batch", "delete"])
def test_a_newer_publication_only_begun_stops_the_older_one_at_its_next_step(
    store: ModelStore, store_url: str, point: str
) -> None:
    publish(store, models(1000, 10), DAY - timedelta(days=1))
    older, newer = models(0, 250), models(0, 250, content="newer")

    def break_off(name: str) -> None:
        if name == "begin":
            raise InterruptedError

    def interfere(name: str) -> None:
        if name == point:
            with ModelStore.connect(store_url, home_id=HOME) as other, pytest.raises(InterruptedError):
                other.publish(publication(newer, DAY, 2), newer, now=NOW, checkpoint=break_off)

    assert store.publish(publication(older), older, now=NOW, checkpoint=interfere) is PublishOutcome.SUPERSEDED
    assert store.read([older[0].key], as_of=DAY, generation=1) is None
    assert store.read([newer[0].key], as_of=DAY, generation=2) is None
    assert publish(store, newer, DAY, 2) is PublishOutcome.PUBLISHED
    assert served(store, newer, DAY, 2)


def test_a_publication_that_flips_while_it_is_read_is_not_an_answer(store: ModelStore) -> None:
    wanted = models(0, 3)
    publish(store, wanted)

    def flip(_: object) -> str:
        publish(store, models(0, 3, content="newer"), DAY, 2)
        return "half of each"

    patience = store._connection.patience()
    assert store._while_served(DAY, 1, patience, flip) is None


def test_after_flushall_a_reader_is_told_and_publishing_again_fills_the_store(store: ModelStore, server: Redis) -> None:
    wanted = models(0, 50)
    publish(store, wanted)
    server.flushall()
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None
    assert store.published() is None
    assert publish(store, wanted) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


@pytest.mark.parametrize("point", ["begin", "batch", "delete"])
def test_flushall_amid_a_publication_is_an_error_and_never_complete(
    store: ModelStore, server: Redis, point: str
) -> None:
    publish(store, models(1000, 10), DAY - timedelta(days=1))
    wanted = models(0, 250)

    def flush(name: str) -> None:
        if name == point:
            server.flushall()

    with pytest.raises(StoreUnavailable, match="vanished"):
        store.publish(publication(wanted), wanted, now=NOW, checkpoint=flush)
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None
    assert publish(store, wanted) is PublishOutcome.PUBLISHED
    assert served(store, wanted)


def test_a_model_that_disappears_while_publishing_keeps_it_from_being_complete(
    store: ModelStore, server: Redis
) -> None:
    wanted = models(0, 20)

    def lose(name: str) -> None:
        if name == "batch":
            server.zrem("model_updates", "statistical:wallet:7")

    with pytest.raises(StoreUnavailable, match="lists 39 of 40"):
        store.publish(publication(wanted), wanted, now=NOW, checkpoint=lose)
    assert store.read([wanted[0].key], as_of=DAY, generation=1) is None


def test_a_redis_server_serves_as_well_as_valkey(redis_url: str) -> None:
    tomorrow = DAY + timedelta(days=1)
    with ModelStore.connect(redis_url, home_id=HOME) as store, Redis.from_url(redis_url) as client:
        assert store.health().kind == "redis"
        assert publish(store, models(0, 300)) is PublishOutcome.PUBLISHED
        assert publish(store, models(200, 300), tomorrow) is PublishOutcome.PUBLISHED
        assert publish(store, models(0, 300)) is PublishOutcome.SUPERSEDED
        assert publish(store, models(200, 300), tomorrow) is PublishOutcome.UNCHANGED
        with pytest.raises(ModelConflict):
            publish(store, models(200, 300, content="other"), tomorrow)
        client.set("model:statistical:wallet:200", "not a hash")
        assert publish(store, models(200, 300), tomorrow) is PublishOutcome.PUBLISHED
        assert served(store, models(200, 300), tomorrow)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.sets(st.tuples(TYPE, TEXT), max_size=8))
def test_any_wallet_id_and_model_type_comes_back_as_it_was(
    store: ModelStore, server: Redis, keys: set[tuple[str, str]]
) -> None:
    record = store.published()
    generation = record.generation + 1 if record else 1
    wanted = [model(wallet_id, model_type) for model_type, wallet_id in sorted(keys)]
    publish(store, wanted, DAY, generation)
    assert served(store, wanted, DAY, generation)
    assert len(server.keys("model:*")) == len(keys)


@given(prefix=TEXT.filter(lambda text: not text.startswith("model")), model_type=TYPE, wallet_id=TEXT)
def test_keys_and_members_are_inverse(prefix: str, model_type: str, wallet_id: str) -> None:
    keys = KeySpace(prefix)
    member = keys.member((model_type, wallet_id))
    assert keys.member_of(keys.key_of(member)) == member
    assert keys.model_key(member) == ModelKey(model_type, wallet_id)


@pytest.mark.parametrize("model_type", ["", "a:b", ":"])
def test_a_model_type_with_a_colon_or_none_is_no_key(model_type: str) -> None:
    with pytest.raises(ValueError, match="colon"):
        KeySpace("").member((model_type, "wallet"))


@given(sizes=st.lists(st.integers(0, 50), max_size=30), count=st.integers(1, 5), size=st.integers(1, 60))
def test_batches_keep_order_and_both_bounds(sizes: list[int], count: int, size: int) -> None:
    given_models = [model(str(number), size=length) for number, length in enumerate(sizes)]
    batches = list(in_batches(iter(given_models), count=count, size=size))
    assert [item for batch in batches for item in batch] == given_models
    assert all(1 <= len(batch) <= count for batch in batches)
    assert all(len(batch) == 1 or sum(len(item.payload) for item in batch) <= size for batch in batches)


@pytest.mark.parametrize("generation", [-1, 2**53])
def test_a_generation_the_server_cannot_compare_exactly_is_no_generation(generation: int) -> None:
    with pytest.raises(ValueError, match="generation"):
        publication([], generation=generation)


def test_erased_models_are_gone_and_the_others_are_served_as_before(store: ModelStore, server: Redis) -> None:
    kept, gone = models(0, 3), [model("w:gone", "statistical"), model("w:gone", "isolation_forest")]
    publish(store, [*kept, *gone])
    assert store.erase_wallets("w:gone".__eq__) == 2
    assert store.erase_wallets("w:gone".__eq__) == 0
    assert store.published_model_ids(as_of=DAY, generation=1) == {each.key: each.model_id for each in kept}
    published = store.published()
    assert published is not None
    assert published.count == len(kept) == store.count()
    assert not [key for key in server.scan_iter() if b"gone" in key]
    # the same generation without them is the one that is served
    assert publish(store, kept) is PublishOutcome.UNCHANGED


def test_a_publication_goes_on_without_a_wallet_that_was_erased_while_it_was_written(
    store: ModelStore, server: Redis
) -> None:
    """Its count changes then; that of one that is served does not."""
    kept, gone = models(0, 3), [model("w:gone", "statistical"), model("w:gone", "isolation_forest")]
    publish(store, [*kept, *gone])
    server.hset("models:published", "state", "writing")
    server.delete("model:isolation_forest:w:gone")
    assert store.erase_wallets("w:gone".__eq__) == 2
    assert publish(store, kept) is PublishOutcome.PUBLISHED
    assert store.published_model_ids(as_of=DAY, generation=1) == {each.key: each.model_id for each in kept}
    with pytest.raises(ModelConflict):
        publish(store, kept[:-1])


def test_nothing_is_erased_from_a_store_of_another_home(store: ModelStore, store_url: str) -> None:
    publish(store, [model("w", "statistical")])
    with ModelStore.connect(store_url, home_id="another") as other, pytest.raises(HomeMismatch):
        other.erase_wallets("w".__eq__)
    assert store.count() == 1


def test_models_that_a_newer_release_published_are_refused_by_who_cannot_read_them(
    store: ModelStore, server: Redis
) -> None:
    publish(store, models(0, 3))
    for found in (b"2", b"x", b"0"):
        server.set("models:format", found)
        for ask in (store.published, lambda: served(store, models(0, 3))):
            with pytest.raises(StoreRefused, match="store publish"):
                ask()


def test_models_in_another_format_are_written_again_by_the_next_publication_of_the_same_day(
    store: ModelStore, server: Redis
) -> None:
    """It is not complete until the last of them is, as for every publication; and 1 is told by the absence of a key."""
    wanted = models(0, 3)
    publish(store, wanted)
    server.set("models:format", "2")
    before, states = contents(server), []

    def look(_: str) -> None:
        states.append(server.hget("models:published", "state"))

    assert store.publish(publication(wanted), wanted, now=NOW, checkpoint=look) is PublishOutcome.PUBLISHED
    assert (states[0], states[-1]) == (b"writing", b"complete")
    assert not server.exists("models:format")
    assert served(store, wanted)
    assert contents(server) == {key: value for key, value in before.items() if key != b"models:format"}


def test_models_of_an_older_day_in_another_format_make_way_for_the_next(store: ModelStore, server: Redis) -> None:
    publish(store, models(0, 3))
    server.set("models:format", "2")
    assert publish(store, models(1, 3), DAY + timedelta(days=1)) is PublishOutcome.PUBLISHED
    assert not server.exists("models:format")
    assert served(store, models(1, 3), DAY + timedelta(days=1))
