"""What an earlier release answered about its home is answered again, and asking changes nothing."""

import pytest

from anomaly_assets.adapters.verification_log import verifications
from anomaly_assets.domain.families import OURS
from anomaly_assets.evidence.proof import Grade, Outcome
from anomaly_assets.evidence.stale import stale_partitions
from anomaly_assets.evidence.verify import Verifier
from compat.frozen import LEFT_ALONE, Frozen, differences
from compat.make_home import answer

KINDS = ("trace", "explain", "verify", "stale", "report")


@pytest.mark.parametrize("kind", KINDS)
def test_every_answer_is_given_again_with_nothing_but_new_keys(frozen: Frozen, kind: str) -> None:
    """Exit code, complaint and JSON, of every command that was asked then."""
    recorded = {command: told for command, told in frozen.known["answers"].items() if command.split()[0] == kind}
    assert recorded
    found = {command: differences(told, answer(frozen.folder, command.split())) for command, told in recorded.items()}
    assert {command: unlike for command, unlike in found.items() if unlike} == {}


def test_every_command_that_was_asked_is_asked_again(frozen: Frozen) -> None:
    assert {command.split()[0] for command in frozen.known["answers"]} == set(KINDS)


def test_every_scored_day_is_proven_at_three_grades_from_the_head_that_was_kept(frozen: Frozen) -> None:
    head = frozen.known["log_head"]
    assert frozen.home.log.head() == head
    verifier = Verifier(frozen.home, head=head)
    for day in frozen.days("scored"):
        proof = verifier.verify(day)
        assert proof.grades() == dict.fromkeys(Grade, Outcome.PROVEN), proof.broken


def test_an_erased_transaction_is_erased_and_no_mismatch(frozen: Frozen) -> None:
    recorded = {command: told for command, told in frozen.known["answers"].items() if command.startswith("verify ")}
    erased = {command for command, told in recorded.items() if told["json"]["outcomes"]["erased"]}
    assert erased == ({f"verify {frozen.facts['erased']['tx_id']}"} if "erased" in frozen.facts else set())
    for command in erased:
        told = answer(frozen.folder, command.split())
        assert (told["exit_code"], told["json"]["outcomes"]["erased"]) == (0, 1)


def test_what_is_stale_is_what_was_stale(frozen: Frozen) -> None:
    stale = stale_partitions(frozen.home, frozen.settings.detection.settings_ids, OURS)
    recorded = frozen.known["answers"]["stale"]["json"]["stale"]
    assert differences(recorded, [item.as_json() for item in stale]) == []


def test_the_list_of_verifications_is_read(frozen: Frozen) -> None:
    nightly = [entry for entry in verifications(frozen.home) if entry.who == "nightly"]
    assert [entry.day for entry in nightly] == frozen.days("scored")
    assert {(entry.outcome, entry.head) for entry in nightly} == {("proven", frozen.known["log_head"])}


def test_asking_changes_nothing(changing: Frozen) -> None:
    """The first question of each kind; only the cache and the list of verifications may become others."""

    def told() -> dict[str, str]:
        return {path: digest for path, digest in changing.contents().items() if not path.startswith(LEFT_ALONE)}

    before, commands = told(), list(changing.known["answers"])
    assert before
    for kind in KINDS:
        answer(changing.folder, next(command for command in commands if command.split()[0] == kind).split())
    assert told() == before
    assert changing.home.log.head() == changing.known["log_head"]


def test_a_new_key_is_no_difference_and_everything_else_is() -> None:
    recorded = {"a": [1, {"b": 0.5}], "c": None}
    assert differences(recorded, {"a": [1, {"b": 0.5, "new": 1}], "c": None, "d": 2}) == []
    for other in ({"a": [1, {"b": 0.5}]}, {"a": [1], "c": None}, {"a": [1.0, {"b": 0.5}], "c": None}):
        assert len(differences(recorded, other)) == 1
