"""Run folders at URLs: what a mirror leaves at every moment, who may write, and searches whose machine is lost."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from search.journal import mirror as module
from search.journal import object_store as stores
from search.journal import pieces
from search.journal.mirror import Mirror, followed, run_folder, snapshot
from search.journal.object_store import Store, is_url
from tests.search.conftest import resume_toy, run_toy, stable
from tests.search.engine.test_kill import finish, start
from tests.waiting import wait_for_lines, wait_until
from uninas.errors import InputError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folders of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["file", "memory", "arrow"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Three kinds: this machine's disk, fsspec's object store in memory, and a file system of pyarrow's."""
    if request.param == "memory":
        yield Store("memory://bucket/run")
        fsspec.filesystem("memory").store.clear()
        return
    found = Store(f"file://{tmp_path}/bucket/run")
    if request.param == "arrow":
        found._fs, found._root = stores._of_pyarrow(f"file://{tmp_path}/bucket/run", ImportError("none"))
        monkeypatch.setattr(Store, "put", put_with_folders)  # a disk wants the folder first, a bucket knows none
    yield found


def put_with_folders(self: Store, name: str, data: bytes, whole: Any = Store.put) -> None:
    self._fs.makedirs(f"{self._root}/{name}".rpartition("/")[0], exist_ok=True)
    whole(self, name, data)


def line(number: int) -> bytes:
    return json.dumps({"kind": "candidate", "index": number}).encode() + b"\n"


def mirror_of(folder: Path, store: Store, notes: list[str] | None = None) -> Mirror:
    return Mirror(folder, store, note=(notes if notes is not None else []).append, heartbeat_seconds=0.0)


def begun(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    return folder


def append(folder: Path, data: bytes) -> None:
    with (folder / "journal.jsonl").open("ab") as file:
        file.write(data)


def test_what_is_a_url() -> None:
    assert is_url("s3://bucket/run")
    assert not is_url("runs/mine")
    assert not is_url(Path("/runs/mine"))


def test_objects_come_and_go(store: Store) -> None:
    assert store.names() == []
    assert store.get("a.json") is None
    store.put("a.json", b"1")
    store.put("deep/er/b.json", b"2")
    store.put("a.json", b"3")
    assert store.names() == ["a.json", "deep/er/b.json"]
    assert store.get("a.json") == b"3"
    store.delete("a.json")
    store.delete("a.json")
    assert store.names() == ["deep/er/b.json"]


def test_after_every_pass_the_store_holds_the_journal_up_to_a_line(store: Store, tmp_path: Path) -> None:
    """Random appends, torn lines among them; pieces are joined on the way."""
    rng = random.Random(0)
    folder, whole = begun(tmp_path / "run"), b""
    mirror = mirror_of(folder, store)
    mirror.claim()
    for number in range(3 * pieces.JOIN):
        new = b"".join(line(number) for _ in range(rng.randrange(3)))
        whole += new
        append(folder, new)
        mirror.push()
        found, _ = pieces.assemble(store)
        assert found == whole
    left = [name for name in store.names() if name.startswith("journal/")]
    assert len(left) < pieces.JOIN
    torn = line(1)[:-4]
    append(folder, torn)
    mirror.push()
    assert pieces.assemble(store)[0] == whole
    append(folder, line(1)[-4:])
    mirror.close()
    assert pieces.assemble(store)[0] == whole + line(1)
    assert "owner.json" not in store.names()


def die_after(steps: int, patch: pytest.MonkeyPatch) -> None:
    """Let a store take so many more writes and deletions of pieces."""
    left = [steps]

    def dying(method: Any) -> Any:
        def step(self: Store, name: str, *rest: Any) -> None:
            left[0] -= name.startswith("journal/")
            if left[0] < 0:
                raise InterruptedError
            method(self, name, *rest)

        return step

    for name in ("put", "delete"):
        patch.setattr(Store, name, dying(getattr(Store, name)))


def test_a_machine_lost_while_pieces_are_joined_loses_nothing(tmp_path: Path) -> None:
    """At each of the writes and deletions that a join is made of."""
    for survived in range(pieces.JOIN + 1):
        store, folder = Store(f"memory://bucket/{survived}"), begun(tmp_path / str(survived))
        mirror = mirror_of(folder, store)
        mirror.claim()
        for number in range(pieces.JOIN - 1):
            append(folder, line(number))
            mirror.push()
        append(folder, line(pieces.JOIN))
        with pytest.MonkeyPatch.context() as patch:
            if survived == pieces.JOIN:
                mirror.push()
            else:
                die_after(1 + survived, patch)  # the last piece itself, and so many steps of the join
                with pytest.raises(InterruptedError):
                    mirror.push()
        assert pieces.assemble(store)[0] == (folder / "journal.jsonl").read_bytes()


def test_files_follow(store: Store, tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    mirror = mirror_of(folder, store)
    mirror.claim()
    (folder / "finalists").mkdir()
    (folder / "finalists" / "01.json").write_text("1")
    (folder / ".part").write_text("not yet")
    mirror.push()
    assert store.names() == ["config.yaml", "finalists/01.json", "owner.json"]
    (folder / "finalists" / "01.json").write_text("one")
    (folder / "config.yaml").write_text("seed: 11\n")
    mirror.push()
    assert (store.get("finalists/01.json"), store.get("config.yaml")) == (b"one", b"seed: 11\n")
    (folder / "finalists" / "01.json").unlink()
    mirror.close()
    assert store.names() == ["config.yaml"]


def test_one_owner_at_a_time(store: Store, tmp_path: Path) -> None:
    first = mirror_of(begun(tmp_path / "one"), store)
    first.claim()
    first.push()

    notes: list[str] = []
    second = mirror_of(tmp_path / "two", store, notes)
    second._stop.wait = lambda seconds: first.push() or False  # type: ignore[method-assign]  # it moves while it is watched
    with pytest.raises(InputError, match="another process is writing it"):
        second.claim()
    assert "did not end cleanly" in notes[0]

    third = mirror_of(tmp_path / "three", store)
    third.claim()  # the first one is silent
    third.pull()
    third.push()
    with pytest.raises(InputError, match="another process took it over"):
        first.push()
    assert first.lost_ownership
    with pytest.raises(InputError, match="another process took it over"):
        first.close()
    third.close()
    fourth = mirror_of(tmp_path / "four", store, notes := [])
    fourth.claim()  # at once
    assert notes == []


def test_a_local_journal_that_is_ahead_is_kept_and_one_that_differs_set_aside(tmp_path: Path) -> None:
    store, folder = Store("memory://bucket/ahead"), begun(tmp_path / "run")
    mirror = mirror_of(folder, store)
    mirror.claim()
    append(folder, line(0))
    mirror.push()
    append(folder, line(1))  # after the last pass; then a kill
    again = mirror_of(folder, store)
    again.claim()
    again.pull()
    assert (folder / "journal.jsonl").read_bytes() == line(0) + line(1)
    again.push()
    assert pieces.assemble(store)[0] == line(0) + line(1)
    (folder / "journal.jsonl").write_bytes(line(0) + line(7))
    last = mirror_of(folder, store, notes := [])
    last.pull()
    assert (folder / "journal.jsonl").read_bytes() == line(0) + line(1)
    assert (folder / "journal.stale.jsonl").read_bytes() == line(0) + line(7)
    assert "set aside" in notes[0]
    last.push()
    assert "journal.stale.jsonl" not in store.names()


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda store: store.delete("journal/000000000034.jsonl"), "expected a piece of the journal from byte 34 on"),
        (lambda store: store.delete("config.yaml"), "expected a run folder with a config.yaml"),
    ],
)
def test_a_store_that_lost_a_part(harm: Any, message: str, tmp_path: Path) -> None:
    store, folder = Store("memory://bucket/harmed"), begun(tmp_path / "run")
    mirror = mirror_of(folder, store)
    mirror.claim()
    for number in range(3):
        append(folder, line(number))
        mirror.push()
    assert len(line(0)) == 34
    harm(store)
    with pytest.raises(InputError, match=message):
        mirror_of(tmp_path / "other", store).pull()


@pytest.mark.parametrize("harmed", ["config.yaml", "journal/000000000000.jsonl"])
def test_a_run_that_cannot_be_taken_up_is_left_as_it_is(harmed: str, tmp_path: Path) -> None:
    """Though a copy of it lies on this machine, which is all that there may be of it now."""
    url = f"memory://bucket/without-{harmed}"
    with run_folder(url, fresh=True, note=print) as folder:
        begun(folder)
        append(folder, line(0))
        mirrored = Store(url)
    working = module._working_folder(url)
    append(working, line(1))
    append(working, line(2))
    with run_folder(url, fresh=False, note=print):
        append(working, line(3))  # a second piece
    Store(url).delete(harmed)
    left = {name: mirrored.get(name) for name in mirrored.names()}
    with pytest.raises(InputError, match="expected a"), run_folder(url, fresh=False, note=print):
        pass
    assert {name: mirrored.get(name) for name in mirrored.names()} == left
    assert (working / "journal.jsonl").read_bytes().count(b"\n") == 4


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://key:secret@bucket/run", "expected a URL without credentials"),
        ("nosuch://bucket/run", "nosuch://bucket/run: expected a URL that fsspec or pyarrow knows"),
        ("file:///proc/nothing/run", "cannot be written"),
    ],
)
def test_urls_that_cannot_be(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as raised, run_folder(url, fresh=True, note=print):
        pass
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_store_that_refuses_for_a_while_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that refuses to the end leaves all in the working folder, which the message names."""
    notes: list[str] = []
    store, folder = Store("memory://bucket/away"), begun(tmp_path / "run")
    mirror = Mirror(folder, store, note=notes.append, heartbeat_seconds=0.001)
    mirror.claim()
    mirror.start()
    away = [True]
    put = store._fs.pipe_file

    def pipe_file(*rest: Any) -> None:
        if away[0]:
            raise OSError("the network is away")
        put(*rest)

    monkeypatch.setattr(store._fs, "pipe_file", pipe_file)
    append(folder, line(0))
    wait_until(lambda: notes)
    assert "the network is away; the search goes on in" in notes[0]
    away[0] = False
    wait_until(lambda: len(notes) == 2)
    assert notes[1] == "memory://bucket/away: can be written again"
    away[0] = True
    append(folder, line(1))
    with pytest.raises(InputError, match=rf"the network is away; all is kept in {folder}: make the store writable"):
        mirror.close()
    away[0] = False
    assert pieces.assemble(store)[0] == line(0)


def test_a_search_at_a_url_is_the_search_in_a_folder(tmp_path: Path) -> None:
    run_toy(tmp_path / "plain")
    with run_folder("memory://bucket/whole", fresh=True, note=print) as folder:
        run_toy(folder)
    with snapshot("memory://bucket/whole") as copy:
        assert stable(copy) == stable(tmp_path / "plain")
        names = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
        assert {"run.json", "best.json", "finalists/01.json"} <= names
        (copy / "report.html").write_text("a page")
    assert Store("memory://bucket/whole").get("report.html") == b"a page"
    with (
        pytest.raises(InputError, match="expected a new run folder; it exists"),
        run_folder("memory://bucket/whole", fresh=True, note=print),
    ):
        pass


def test_a_search_at_a_url_is_watched_from_there() -> None:
    from search.monitor.follow import RunFollower

    with run_folder("memory://bucket/watched", fresh=True, note=print) as folder:
        run_toy(folder, "evaluations=40")
    with followed("memory://bucket/watched") as (copy, refresh):
        follower = RunFollower(copy, refresh=refresh, name="watched")
        assert "watched" in follower.look().heading
        with run_folder("memory://bucket/watched", fresh=False, note=print) as folder:
            resume_toy(folder, evaluations=60)
        assert follower.look().config.evaluations == 60


def test_a_head_lost_again_and_again(tmp_path: Path, python: list[str], cache: Path) -> None:
    """SIGKILL, and everything on the machine gone with it: the next one goes on from the URL alone, to the same journal."""
    run_toy(tmp_path / "plain")
    url, where = f"file://{tmp_path}/bucket/run", tmp_path / "bucket" / "run"
    slow = {"behaviour": {"delay": 10}, "heartbeat_seconds": 0.05}
    action, lost = "begin", 0
    for lines in (20, 80, 180):
        process = start(python, action, url, **slow)  # type: ignore[arg-type]
        (working,) = [module._working_folder(url)]
        wait_for_lines(process, working / "journal.jsonl", lines)
        process.send_signal(signal.SIGKILL)
        finish(process)
        ours = (working / "journal.jsonl").read_bytes()
        theirs, _ = pieces.assemble(Store(url))
        assert ours.startswith(theirs)
        lost += len(ours) - len(theirs)
        assert theirs.count(b"\n") > lines // 2
        working.rename(tmp_path / f"gone{lines}")
        action = "resume"
    code, out, err = finish(start(python, "resume", url, heartbeat_seconds=0.05))  # type: ignore[arg-type]
    assert code == 0, err
    assert "did not end cleanly" in out
    with snapshot(url) as copy:
        assert stable(copy) == stable(tmp_path / "plain")
    assert not (where / "owner.json").exists()


def test_a_search_that_was_taken_over_stops(tmp_path: Path, python: list[str]) -> None:
    url = f"file://{tmp_path}/bucket/run"
    process = start(python, "begin", url, behaviour={"delay": 30}, heartbeat_seconds=0.05)  # type: ignore[arg-type]
    wait_for_lines(process, module._working_folder(url) / "journal.jsonl", 5)
    while process.poll() is None:  # as an owner does at each beat
        Store(url).put("owner.json", json.dumps({"token": "another's", "beat": 1}).encode())
    code, out, err = finish(process)
    assert code == 2
    assert "expected to be the only search on this run; another process took it over" in err
    assert "Traceback" not in err
    assert f"continue with: uninas search --resume {url}" in out
