"""Services of their own: what other tests leave in the stores is none of a pipeline's business."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stacks import running

from infra.endpoints import Endpoints


@pytest.fixture(scope="module")
def stack_home(new_home: Callable[[str], Path]) -> Path:
    """A home that only this module uses."""
    return new_home(".userflow")


@pytest.fixture(scope="module")
def stack(stack_home: Path) -> Iterator[Endpoints]:
    """Kafka, PostgreSQL and Redis, running and initialised."""
    with running(stack_home) as endpoints:
        yield endpoints
