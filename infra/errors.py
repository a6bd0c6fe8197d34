"""The errors this project raises on purpose; the command line prints them as one sentence.

UserflowError
├── SetupError      Python, Java or the jars are missing or not the expected ones
├── SettingsError   an environment variable or userflow.toml holds a value that cannot be used
├── ServiceError    Kafka, PostgreSQL or Redis does not start, stop or answer
│   └── PortTaken   a configured port belongs to another program
├── StackNotUp      something needs the services, and they were never started
├── StreamFailed    a streaming process ended, or did not do in time what it should
│   └── CheckpointMismatch  a checkpoint is not the one that the stores, code and settings expect
├── ReplayFailed    a dead letter is not there, or could not be sent again
├── LoadFailed      a day's events cannot be read or written, or are being loaded already
├── GateFailed      too few of a day's events or rows pass the checks before the next step
├── PublishFailed   a mart could not be published; readers see what was there
├── BackfillFailed  there is nothing to recompute from, or it could not be done
├── DailyJobFailed  a daily Spark job could not read, compute or write
├── RepairFailed    a store did not answer while it was repaired
├── MartsFailed     a model of the marts or a test of one failed, or dbt could not run
├── KeyRefused      there is no such API key, or none can be made like that
└── RunRefused      Airflow knows no such DAG, or would not run it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

__all__ = [
    "BackfillFailed",
    "CheckpointMismatch",
    "DailyJobFailed",
    "GateFailed",
    "KeyRefused",
    "LoadFailed",
    "MartsFailed",
    "PortTaken",
    "PublishFailed",
    "RepairFailed",
    "ReplayFailed",
    "RunRefused",
    "ServiceError",
    "SettingsError",
    "SetupError",
    "StackNotUp",
    "StreamFailed",
    "UserflowError",
]


class UserflowError(Exception):
    """What was found, what was expected, what to do: in one sentence. `exit_code`: a command's.

    `is_told`: Slack has heard of it already, and need not be told again.
    """

    exit_code: ClassVar[int] = 1
    is_told: bool = False


class SetupError(UserflowError):
    """Python, Java or the jars are missing or not the expected ones."""


class SettingsError(UserflowError):
    """A setting holds a value that cannot be used."""


class ServiceError(UserflowError):
    """A service does not start, stop or answer."""


class PortTaken(ServiceError):
    """A configured port belongs to another program."""


class StackNotUp(UserflowError):
    """The services were never started in this home."""


class StreamFailed(UserflowError):
    """A streaming process ended, or did not do in time what it should."""


class CheckpointMismatch(StreamFailed):
    """A checkpoint is not the one that the stores, the code and the settings expect.

    No other attempt would end differently: who starts streams again knows it by its exit code.
    """

    exit_code = 3


class BackfillFailed(UserflowError):
    """There is nothing to recompute from, or it could not be done."""


class LoadFailed(UserflowError):
    """A day's events cannot be read or written, or another process loads them; nothing changed."""


class GateFailed(UserflowError):
    """Too few of a day's events or rows pass; `figures`: what was found, as a JSON document."""

    def __init__(self, message: str, figures: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}


class PublishFailed(UserflowError):
    """A mart could not be published; readers see what was there before."""


class ReplayFailed(UserflowError):
    """A dead letter is not there, or could not be sent again."""


class DailyJobFailed(UserflowError):
    """A daily Spark job could not read, compute or write; tables of other days are untouched."""


class RepairFailed(UserflowError):
    """A store did not answer while it was repaired."""


class MartsFailed(UserflowError):
    """A model of the marts or a test of one failed, or dbt could not run."""


class KeyRefused(UserflowError):
    """There is no such API key, or none can be made like that."""


class RunRefused(UserflowError):
    """Airflow knows no such DAG, or would not run it."""
