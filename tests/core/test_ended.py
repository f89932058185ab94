from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from amkd_core.ended import cause_of_death, signal_of


def test_ends_by_a_signal_are_told_from_others() -> None:
    assert signal_of(-signal.SIGSEGV) == "SIGSEGV"
    assert cause_of_death(-signal.SIGSEGV) == "was ended by SIGSEGV"
    assert [signal_of(status) for status in (None, 0, 3)] == ["", "", ""]
    assert cause_of_death(3) == "ended with status 3"


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    number = signal.SIGRTMIN + 3
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        os.kill(process.pid, number)
        status = process.wait()
    assert cause_of_death(status) == f"was ended by signal {int(number)}"
