"""The lock of a run folder, also where there are none."""

from __future__ import annotations

import errno
import fcntl
from pathlib import Path
from typing import Any

import pytest

from uninas.errors import InputError
from uninas.files.locks import WITHOUT, try_lock


def test_one_at_a_time_until_the_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("wb") as one, path.open("r+b") as other:
        assert try_lock(one)
        assert not try_lock(other)
        one.close()
        assert try_lock(other)


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS])
def test_a_file_system_without_locks_is_named_and_may_be_used_all_the_same(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(file: Any, operation: int) -> None:
        raise OSError(number, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", flock)
    monkeypatch.delenv(WITHOUT, raising=False)
    with (tmp_path / "journal.jsonl").open("wb") as file:
        with pytest.raises(InputError, match=r"journal\.jsonl: expected a file system with locks; this one has none"):
            try_lock(file)
        monkeypatch.setenv(WITHOUT, "1")
        assert try_lock(file)
