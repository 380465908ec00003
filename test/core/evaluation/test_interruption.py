"""The first signal asks for an end, the second forces it."""

from __future__ import annotations

import os
import signal

import pytest

from madm_core.evaluation.interruption import Interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_first_signal_asks_and_second_raises(number):
    before = signal.getsignal(number)
    with Interruption() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
