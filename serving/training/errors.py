"""What a training set cannot be made of; the messages are written for a person.

TrainingSetError
├── BadLabels   the labels cannot be read, or lack what is joined on
├── BadFeatures a feature that has no past, or whose name means several
├── NoLog       the lake has no log of a view
└── BadOutput   the set cannot be written where it shall be

A name that nobody declared raises `features.errors.UnknownName`, with the nearest ones.
"""

from __future__ import annotations

__all__ = ["BadFeatures", "BadLabels", "BadOutput", "NoLog", "TrainingSetError", "first_line"]


class TrainingSetError(Exception):
    """What was found, what was expected, in one sentence."""


class BadLabels(TrainingSetError):
    """The labels cannot be read, or lack what is joined on."""


class BadFeatures(TrainingSetError):
    """A feature that has no past, or whose name means several."""


class NoLog(TrainingSetError):
    """The lake has no log of a view."""


class BadOutput(TrainingSetError):
    """The set cannot be written where it shall be."""


def first_line(error: Exception) -> str:
    """What a library says, without its traces."""
    return next(iter(str(error).splitlines()), type(error).__name__)
