"""What is said when a process that reads images ends badly."""

from __future__ import annotations

import multiprocessing
import signal

import pytest
from torch.utils.data import DataLoader

from downstream.data.readers import plain_errors
from uninas.errors import InputError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DataLoader worker (pid 12) is killed by signal: Killed. ", "one was killed"),
        ("DataLoader worker (pid(s) 12, 13) exited unexpectedly", "one was killed"),
        ("DataLoader worker (pid 12) is killed by signal: Bus error. It is possible that ..", "--shm-size"),
        ("unable to write to file </torch_12_34_0>: No space left on device (28)", "--shm-size"),
    ],
)
def test_the_death_of_a_reader_says_what_to_do(text: str, said: str) -> None:
    with pytest.raises(InputError, match=r"^--workers: expected ") as caught, plain_errors():
        raise RuntimeError(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory"), OSError(28, "No space left on device")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, plain_errors():
        raise error
    assert caught.value is error


def test_the_error_of_a_reader_loses_its_traceback() -> None:
    text = "Caught InputError in DataLoader worker process 0.\nTraceback ..\nuninas.errors.InputError: a.png: expected an image\n"
    with pytest.raises(InputError, match=r"^a\.png: expected an image$"), plain_errors():
        raise InputError(text)


def test_the_news_of_a_death_may_come_while_another_error_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch learns of it in a handler of a signal, which raises in whatever runs."""

    def interrupted(*_: object) -> None:
        raise RuntimeError("DataLoader worker (pid 12) is killed by signal: Killed. ")

    monkeypatch.setattr("downstream.data.readers.traceback.extract_tb", interrupted)
    with pytest.raises(InputError, match=r"^--workers: expected .*; one was killed"), plain_errors():
        raise ConnectionResetError(104, "Connection reset by peer")


def test_outside_nothing_is_interrupted_by_a_death(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch's handler of the signal stays for good; what runs later, such as the message's own way out, would meet its error."""

    def killed_inside() -> None:
        with plain_errors():
            again = iter(DataLoader(range(64), num_workers=1))  # type: ignore[arg-type]
            next(again)
            multiprocessing.active_children()[-1].kill()
            list(again)

    before = signal.getsignal(signal.SIGCHLD)
    with plain_errors():
        batches = iter(DataLoader(range(64), num_workers=1))  # type: ignore[arg-type]
        next(batches)
    assert signal.getsignal(signal.SIGCHLD) is before
    (reader,) = multiprocessing.active_children()
    reader.kill()
    reader.join(timeout=60)
    for _ in range(2):  # and inside it is interrupted again
        with pytest.raises(InputError, match=r"^--workers: expected .*; one was killed"):
            killed_inside()
        assert signal.getsignal(signal.SIGCHLD) is before
