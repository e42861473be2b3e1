"""What a broker refuses is known until it is seen to be allowed."""

from __future__ import annotations

from confluent_kafka import KafkaError

from sagakit.transports.kafka.client.rights import NOWHERE, Rights
from sagakit.transports.kafka.settings import KafkaSettings

ERROR = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not for sesame")


def rights() -> Rights:
    return Rights(KafkaSettings.from_url("kafka://ann:sesame@one"))


def test_a_topic_is_named_without_secrets_until_one_of_its_records_has_passed() -> None:
    of = rights()
    of.failed("a", 0, ERROR)
    of.failed("a", 1, ERROR)
    of.failed("b", 0, ERROR)
    of.passed(["c"])
    assert of.lacking == "kafka://ann@one:9092: topic a: not for ***"
    of.passed(["a"])
    assert of.lacking == "kafka://ann@one:9092: topic b: not for ***"
    of.passed(["b"])
    assert of.lacking == ""


def test_other_errors_are_none_of_it() -> None:
    of = rights()
    of.failed("a", 0, KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION))
    assert of.lacking == ""


def test_what_others_read_is_theirs_to_tell_until_it_comes_back() -> None:
    of = rights()
    of.failed("a", 0, ERROR)
    of.left([("a", 0), ("a", 1)])
    assert of.lacking == ""
    of.known([("a", 0)])
    assert of.lacking
    of.left([("a", 0)])
    of.passed(["a"])
    of.known([("a", 0)])
    assert of.lacking == ""


def test_a_topic_that_may_be_known_at_last_is_not_refused_any_more() -> None:
    of = rights()
    of.failed("a", NOWHERE, ERROR)
    of.failed("a", 0, ERROR)
    of.known([("a", 0)])
    of.left([("a", 0)])
    assert of.lacking == ""
