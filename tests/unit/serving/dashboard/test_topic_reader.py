"""Following topics without any: who is away is told, and a mistake of ours is no silence."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException

from serving.dashboard.topic_reader import AWAY, NO_TOPICS, NoTopics, TopicReader, explain_kafka


class Failing(TopicReader):
    """Every try to follow the topics ends like this."""

    error: Exception

    def _follow(self, _: Consumer) -> None:
        raise self.error


def problem_after(error: Exception) -> str | None:
    reader = Failing("127.0.0.1:1", ["alerts"], lambda *_: None)
    reader.error = error
    reader.start()
    deadline = time.monotonic() + 10
    while reader.problem is None and time.monotonic() < deadline:
        time.sleep(0.01)
    problem = reader.problem
    reader.stop()
    assert reader.problem is None or "failed" in reader.problem
    return problem


def test_a_broker_that_is_away_is_told() -> None:
    assert problem_after(KafkaException(KafkaError(KafkaError._TRANSPORT))) == AWAY


def test_topics_that_are_not_there_say_what_to_run() -> None:
    assert problem_after(NoTopics()) == NO_TOPICS


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_is_told_too() -> None:
    assert problem_after(KeyError("mistake")) == "Reading the topics has failed; the log says why."


def test_only_what_may_happen_to_a_broker_is_explained() -> None:
    assert explain_kafka(KeyError("mistake")) is None
