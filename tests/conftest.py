"""The real services, started once per test session in a home of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.endpoints import Endpoints


@pytest.fixture(scope="session")
def new_home() -> Iterator[Callable[[str], Path]]:
    """Make homes for stacks.

    Not below pytest's own temporary folder: each pytest that starts closes that for other accounts,
    and as root PostgreSQL runs under another account.
    """
    with tempfile.TemporaryDirectory(prefix="userflow-") as folder:
        yield lambda name: Path(tempfile.mkdtemp(dir=folder)) / name


@pytest.fixture(scope="session")
def stack_home(new_home: Callable[[str], Path]) -> Path:
    """The USERFLOW_HOME of `stack`."""
    return new_home(".userflow")


@pytest.fixture(scope="session")
def stack(stack_home: Path) -> Iterator[Endpoints]:
    """Kafka, PostgreSQL and Redis, running and initialised."""
    from stacks import running

    with running(stack_home) as endpoints:
        yield endpoints
