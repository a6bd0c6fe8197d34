"""The log is a function of its arguments; rates, order and behaviour are what was asked for."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise

import pytest

from features.contracts import CONTRACTS
from features.validation import Accepted, Rejected, validate
from producer.bad import CATALOGUE, carried_by
from producer.sent import Sent
from producer.simulate import DOMAINS, Simulation, simulate
from producer.times import HOUR_US, SECOND_US

START_US = 1_767_225_600 * SECOND_US
NOISY = {"bad_rate": 0.05, "late_rate": 0.03, "duplicate_rate": 0.04, "disorder_rate": 0.1}
# Changed tables change these on purpose; an unchanged simulator never does.
DIGESTS = {
    "webtoon": "2d2cec28229bc39a",
    "commerce": "a2c9b6f25928f308",
    "sources": "85495af27a039983",
}


def simulation(domain: str = "webtoon", **changes: object) -> Simulation:
    given = {"rate": 100, "duration": 30, "users": 200, "seed": 7, "start_us": START_US}
    return Simulation(domain=domain, **{**given, **changes})


def log(domain: str = "webtoon", **changes: object) -> list[Sent]:
    return list(simulate(simulation(domain, **changes)))


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_same_arguments_give_the_same_bytes(domain: str) -> None:
    assert log(domain, duration=10, **NOISY) == log(domain, duration=10, **NOISY)


@pytest.mark.parametrize("domain", DOMAINS)
def test_another_seed_gives_another_log(domain: str) -> None:
    first, second = log(domain, duration=5), log(domain, duration=5, seed=8)
    assert [s.value for s in first] != [s.value for s in second]


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_log_is_the_same_in_every_process(domain: str) -> None:
    digest = sha256(b"\n".join(sent.value for sent in log(domain, duration=5, **NOISY)))
    assert digest.hexdigest()[:16] == DIGESTS[domain]


def test_two_runs_never_share_an_event_id() -> None:
    ids = [
        {json.loads(sent.value).get("event_id") for sent in log(start_us=start)} - {None}
        for start in (START_US, START_US + SECOND_US)
    ]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("noise", [{}, NOISY], ids=["clean", "noisy"])
def test_rate_times_duration_is_the_number_of_all_records(domain: str, noise: dict) -> None:
    assert len(log(domain, **noise)) == 3000


def test_records_are_due_evenly_and_in_order() -> None:
    due = [sent.due_us for sent in log(**NOISY)]
    assert due[0] == START_US
    assert {later - earlier for earlier, later in pairwise(due)} == {10_000}


def test_clean_events_span_the_run_and_happen_when_they_are_sent() -> None:
    assert all(START_US <= s.event_at_us == s.due_us < START_US + 30 * SECOND_US for s in log())


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_event_that_is_not_bad_is_accepted_with_its_time(domain: str) -> None:
    for sent in log(domain, duration=12, **NOISY):
        if sent.kind != "bad":
            result = validate(CONTRACTS[sent.topic], sent.value, sent.received_at_ms * 1000)
            assert isinstance(result, Accepted), (result, sent.value)
            assert result.event["event_at"] == sent.event_at_us


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_key_is_the_contracts_key(domain: str) -> None:
    for sent in log(domain, duration=12):
        contract = CONTRACTS[sent.topic]
        event = validate(contract, sent.value, sent.due_us).event
        named = [event[name] for name in contract.key if event[name] is not None]
        assert sent.key.decode() == named[0]


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_bad_record_is_refused_for_the_reason_it_claims(domain: str) -> None:
    for sent in log(domain, bad_rate=0.9, duration=8):
        if sent.kind == "bad":
            result = validate(CONTRACTS[sent.topic], sent.value, sent.received_at_ms * 1000)
            assert isinstance(result, Rejected), sent.value[:200]
            assert result.reason_code == sent.expected_reason, (result, sent.value[:200])


def test_bad_records_cover_every_reason_that_a_record_can_have() -> None:
    reasons = {s.expected_reason for s in log(bad_rate=0.05) if s.kind == "bad"}
    assert reasons == {kind.reason for kind in CATALOGUE}
    assert len(reasons) == 10


def test_what_jsonl_carries_is_one_line_each() -> None:
    kinds = carried_by("jsonl")
    values = [s.value for s in log(bad_rate=0.3, bad_kinds=kinds)]
    assert not [value for value in values if not value or b"\n" in value]


def test_what_http_carries_is_a_json_object() -> None:
    for sent in log(bad_rate=0.3, bad_kinds=carried_by("http")):
        assert isinstance(json.loads(sent.value), dict)


def test_rates_are_kept() -> None:
    kinds = Counter(sent.kind for sent in log(duration=200, **NOISY))
    for kind, rate in (("bad", 0.05), ("late", 0.03), ("duplicate", 0.04)):
        # Slots that release what was held back are taken from all kinds alike.
        assert kinds[kind] / 20_000 == pytest.approx(rate * 0.9, rel=0.2)


def test_late_events_are_hours_behind_and_alone_in_their_session() -> None:
    sent = log(late_rate=0.05)
    late = [s for s in sent if s.kind == "late"]
    assert all(2 * HOUR_US <= s.due_us - s.event_at_us <= 3 * HOUR_US for s in late)
    assert max(Counter(s.key for s in sent if s.key in {x.key for x in late}).values()) == 1


def test_disorder_stays_within_the_watermark_delay() -> None:
    delays = [s.due_us - s.event_at_us for s in log(disorder_rate=0.2)]
    assert min(delays) == 0
    assert 4 * SECOND_US < max(delays) < 10 * SECOND_US
    assert sum(delay > 0 for delay in delays) / 3000 == pytest.approx(0.2, rel=0.3)


def test_duplicates_repeat_the_bytes_of_the_last_minute() -> None:
    seen: dict[bytes, int] = {}
    for sent in log(rate=20, duration=200, duplicate_rate=0.1):
        if sent.kind == "duplicate":
            assert sent.due_us - seen[sent.value] <= 60 * SECOND_US
        else:
            seen[sent.value] = sent.due_us


def test_live_records_carry_no_time_of_receipt() -> None:
    assert {s.received_at_ms for s in log(replayed=False)} == {None}
    assert all(s.received_at_ms == s.due_us // 1000 for s in log(**NOISY))


def test_runs_of_different_lengths_have_names_of_their_own() -> None:
    assert simulation().run != replace(simulation(), duration=31).run


def test_sessions_overlap() -> None:
    sessions: dict[bytes, list[int]] = defaultdict(list)
    for position, sent in enumerate(log()):
        sessions[sent.key].append(position)
    spread = [places[-1] - places[0] > len(places) for places in sessions.values()]
    assert sum(spread) > 100
