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
├── BackfillFailed  there is nothing to recompute from, or it could not be done
├── RepairFailed    a store did not answer while it was repaired
├── GateFailed      data at rest is not good enough to go on with
└── RunRefused      Airflow knows no such DAG, or would not run it
"""

from __future__ import annotations

__all__ = [
    "BackfillFailed",
    "CheckpointMismatch",
    "GateFailed",
    "PortTaken",
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
    """What was found, what was expected, what to do: in one sentence."""


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
    """A checkpoint is not the one that the stores, the code and the settings expect."""


class BackfillFailed(UserflowError):
    """There is nothing to recompute from, or it could not be done."""


class ReplayFailed(UserflowError):
    """A dead letter is not there, or could not be sent again."""


class RepairFailed(UserflowError):
    """A store did not answer while it was repaired."""


class GateFailed(UserflowError):
    """Data at rest is not good enough to go on with."""


class RunRefused(UserflowError):
    """Airflow knows no such DAG, or would not run it."""
