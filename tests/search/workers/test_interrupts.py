"""Ctrl-C and SIGTERM: the first is a wish, the second an order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import psutil
import pytest

from search.workers.interrupts import EXIT_INTERRUPTED, Interrupts
from tests.search.conftest import ROOT

# A program that has a child and says its id, and stops for no first signal: it never calls check().
BUSY = """
import subprocess, sys
from search.workers.interrupts import Interrupts

with Interrupts():
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    print(child.pid, flush=True)
    while True:
        print(sys.stdin.readline(), end="", flush=True)
"""


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGHUP)])
def test_the_second_signal_ends_it_with_all_its_children(numbers: tuple[signal.Signals, signal.Signals]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = psutil.Process(int(process.stdout.readline()))
        process.send_signal(numbers[0])
        process.stdin.write("after the first\n")
        process.stdin.flush()
        assert process.stdout.readline() == "after the first\n", "the first one cuts nothing in two"
        process.send_signal(numbers[1])
        try:
            assert process.wait(timeout=60) == EXIT_INTERRUPTED
            assert psutil.wait_procs([child], timeout=60)[1] == []
        finally:
            process.kill()


def test_the_first_is_raised_where_it_does_no_harm() -> None:
    with Interrupts() as interrupts:
        interrupts.check()
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.interruptible():
        os.kill(os.getpid(), signal.SIGTERM)


def test_the_end_of_the_terminal_is_a_signal_like_the_others_unless_it_is_ignored() -> None:
    """As under nohup, where the terminal may go."""
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
            interrupts.check()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_handlers_of_before_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_outside_the_main_thread_it_does_nothing() -> None:
    found: list[object] = []

    def look() -> None:
        with Interrupts():
            found.append(signal.getsignal(signal.SIGINT))

    usual = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert found == [usual]
