"""The first signal asks to stop, the second one acts as always."""

from __future__ import annotations

import os
import signal

import pytest

from infra.signals import handled, stopping


def test_the_first_signal_sets_the_event_and_the_second_acts_as_before() -> None:
    # A process that a shell started in the background ignores SIGINT from its birth on.
    with handled(signal.default_int_handler, signal.SIGINT), stopping() as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        assert stopped.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_handler_from_before_is_back_after_an_error() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ZeroDivisionError), handled(signal.SIG_IGN, signal.SIGTERM):
        os.kill(os.getpid(), signal.SIGTERM // (1 - 1))
    assert signal.getsignal(signal.SIGTERM) is before
