"""Errors of the producer.

ProducerError
├── DeliveryFailed   the other side did not take the records
└── UnreadableFile   a recorded file is missing or not of the format its name says
"""

from __future__ import annotations

__all__ = ["DeliveryFailed", "ProducerError", "UnreadableFile"]


class ProducerError(Exception):
    """What was found, what was expected, what to do: in one sentence."""


class DeliveryFailed(ProducerError):
    """The other side did not take the records."""


class UnreadableFile(ProducerError):
    """A recorded file is missing or not of the format its name says."""
