"""Whatever the API's own description allows, and much that it does not, gets an answer: no 500.

All rooms are fuzzed, over the real stores, by what `/openapi.json` says of them. A room that comes
later is fuzzed as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from served import served
from stacks import settings_for

from infra.api_keys import create_key
from infra.endpoints import Endpoints
from serving.api.keys import SCOPES

pytestmark = pytest.mark.stack
# Everything is bounded: some dozens of requests for each operation.
SECONDS = 5
BOUNDED = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Feast's client wants its errors as a text, and readiness says which part is down.
OTHER_ERRORS = ("/get-online-features", "/readyz")


@pytest.fixture(scope="module")
def address(stack: Endpoints, stack_home: Path) -> Iterator[str]:
    with served(settings_for(stack_home), stack) as at:
        yield at


@pytest.fixture(scope="module")
def key(stack: Endpoints) -> str:
    return create_key(stack.postgres, SCOPES, "fuzz")[1]


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture(scope="module")
def api_schema(address: str) -> Any:
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.fixture(scope="module")
def answered(session: requests.Session, key: str) -> Callable[[Any], None]:
    def answered(case: Any) -> None:
        head = {"Authorization": f"Bearer {key}"}
        answer = case.call(headers=head, session=session, timeout=SECONDS)
        # A store may be slow on a machine with two cores; that is told by 503.
        if answer.status_code != 503:
            case.validate_response(answer, checks=[not_a_server_error])
        assert b"Traceback" not in answer.content
        if answer.status_code >= 400 and case.operation.path not in OTHER_ERRORS:
            told = answer.json()["error"]
            assert told["code"]
            assert told["message"]

    return answered


def test_nothing_that_is_sent_is_a_failure_of_ours(
    api_schema: Any, answered: Callable[[Any], None], subtests: pytest.Subtests
) -> None:
    operations = [found.ok() for found in api_schema.get_all_operations()]
    assert len(operations) >= 10
    for operation in operations:
        with subtests.test(operation.label):
            BOUNDED(given(operation.as_strategy())(answered))()
