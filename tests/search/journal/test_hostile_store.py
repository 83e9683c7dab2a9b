"""Stores of somebody else's making: whatever they name, nothing is read into or written outside the folder of the copy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from click.testing import CliRunner
from fsspec import AbstractFileSystem

from search.journal import mirror as module
from search.journal import object_store as stores
from search.journal.mirror import Mirror, followed, run_folder, snapshot
from search.journal.object_store import Store, without_secrets
from tests.search.conftest import resume_toy, run_toy
from uninas.cli import program
from uninas.errors import InputError


class Hostile(AbstractFileSystem):
    """Says that it has whatever it is told to say; counts what is loaded."""

    protocol = "hostile"
    cachable = False
    objects: ClassVar[dict[str, bytes]] = {}
    infos: ClassVar[dict[str, dict[str, Any]]] = {}
    loaded: ClassVar[list[str]] = []
    away: ClassVar[bool] = False

    def find(self, path: str, *rest: Any, **options: Any) -> Any:
        self._reach()
        about = {name: {"name": name, "size": len(data), "type": "file"} for name, data in self.objects.items()}
        return {name: {**info, **self.infos.get(name, {})} for name, info in about.items()}

    def cat_file(self, path: str, *rest: Any, **options: Any) -> bytes:
        self._reach()
        self.loaded.append(path)
        if path not in self.objects:
            raise FileNotFoundError(path)
        return self.objects[path]

    def pipe_file(self, path: str, value: bytes, *rest: Any, **options: Any) -> None:
        self._reach()
        self.objects[path] = value

    def rm_file(self, path: str) -> None:
        self._reach()
        self.objects.pop(path, None)

    def _reach(self) -> None:
        if self.away:
            raise OSError("the network is away")


fsspec.register_implementation("hostile", Hostile, clobber=True)
URL = "hostile://bucket/run"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "plain"
    run_toy(folder, "evaluations=40")
    return folder


@pytest.fixture(autouse=True)
def hostile(plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[Hostile]:
    """An ordinary run in the store, to begin with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Hostile.away = False
    Hostile.infos.clear()
    Hostile.objects.clear()
    for path in sorted(plain.rglob("*")):
        if path.is_file():
            name = path.relative_to(plain).as_posix()
            Hostile.objects["bucket/run/" + ("journal/000000000000.jsonl" if name == "journal.jsonl" else name)] = (
                path.read_bytes()
            )
    Hostile.loaded.clear()
    return Hostile


def everything(folder: Path) -> dict[str, str]:
    return {str(path): os.readlink(path) if path.is_symlink() else "" for path in sorted(folder.rglob("*"))}


HOSTILE_NAMES = (
    "../outside",
    "../../outside",
    "/outside",
    "//outside",
    "a/../../outside",
    "a/./outside",
    "a//outside",
    "..",
    ".",
    "..\\outside",
    "C:\\outside",
    "new\nline",
    "colour\x1b[31m",
    "nul\0",
    "long" * 100,
    "../bucket-of-another/outside",
)


def uses(folder: Path) -> list[Callable[[], Any]]:
    """Every way in which a run at a URL is read."""

    def look() -> None:
        with snapshot(URL):
            pass

    def watch() -> None:
        with followed(URL):
            pass

    def take_up() -> None:
        with run_folder(URL, fresh=False, note=print, heartbeat_seconds=0.0):
            pass

    return [look, watch, take_up, Mirror(folder / "copy", Store(URL), note=print).pull]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_that_leads_out_writes_nothing(name: str, tmp_path: Path, hostile: type[Hostile]) -> None:
    hostile.objects[f"bucket/run/{name}"] = b"x"
    outside = everything(tmp_path)
    for use in uses(tmp_path):
        with pytest.raises(InputError, match="hostile://bucket/run: expected names of a run's files; got") as raised:
            use()
        assert str(raised.value).isprintable()
    assert everything(tmp_path) == outside


@pytest.mark.parametrize("path", ["elsewhere/run/x", "/bucket/run/x", "bucket/runs/x", "bucket/../run/x"])
def test_an_object_of_another_place_writes_nothing(path: str, tmp_path: Path, hostile: type[Hostile]) -> None:
    hostile.objects[path] = b"x"
    outside = everything(tmp_path)
    for use in uses(tmp_path):
        with pytest.raises(InputError, match="expected names of a run's files"):
            use()
    assert everything(tmp_path) == outside


@pytest.mark.parametrize(
    "marker", ["bucket/run", "bucket/run/", "bucket/run/journal/", "bucket/run/journal", "bucket/run/finalists/"]
)
def test_a_marker_of_a_folder_is_no_file(marker: str, hostile: type[Hostile]) -> None:
    """As pyarrow leaves them, and s3fs lists them."""
    hostile.objects[marker] = b""
    with snapshot(URL) as copy:
        assert (copy / "config.yaml").is_file()
        assert (copy / "finalists" / "01.json").is_file()
        assert (copy / "journal.jsonl").stat().st_size > 1000


@pytest.mark.parametrize("size", [1 << 31, 1 << 62, (1 << 30) + 1])
def test_a_size_that_no_run_has_is_not_loaded(size: int, tmp_path: Path, hostile: type[Hostile]) -> None:
    hostile.infos["bucket/run/best.json"] = {"size": size}
    for use in uses(tmp_path):
        with pytest.raises(InputError, match=r"expected objects of at most 1,073,741,824 bytes; best\.json has"):
            use()
    assert [path for path in hostile.loaded if not path.endswith("owner.json")] == []


def test_more_than_a_run_holds(tmp_path: Path, hostile: type[Hostile], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MOST_OBJECTS", 3)
    with pytest.raises(InputError, match="expected at most 3 objects of a run"):
        Store(URL).objects()
    monkeypatch.undo()
    monkeypatch.setattr(stores, "LARGEST_RUN", 1000)
    with pytest.raises(InputError, match="expected a run of at most 1,000 bytes"):
        Store(URL).objects()


def test_a_file_where_a_folder_is_needed_is_one_line(tmp_path: Path, hostile: type[Hostile]) -> None:
    hostile.objects["bucket/run/finalists"] = b"not empty"
    with pytest.raises(InputError, match="cannot hold a copy of hostile://bucket/run"):
        Mirror(tmp_path / "copy", Store(URL), note=print).pull()


@pytest.mark.parametrize("name", ["finalists", "best.json", "journal.jsonl", ".best.json.part"])
def test_a_link_in_the_copy_is_not_followed(name: str, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    (victim if name == "finalists" else tmp_path).mkdir(exist_ok=True)
    if name != "finalists":
        victim.write_text("mine")
    working = module._working_folder(URL)
    working.mkdir(parents=True)
    (working / name).symlink_to(victim)
    before = everything(victim) if victim.is_dir() else victim.read_text()
    mirror = Mirror(working, Store(URL), note=print)
    if name.endswith(".part"):
        mirror.pull()
        assert not (working / name).exists()
    else:
        with pytest.raises(InputError, match=f"{name}: expected a file or folder of its own; it is a link"):
            mirror.pull()
    assert (everything(victim) if victim.is_dir() else victim.read_text()) == before


def test_links_of_a_store_on_disk_are_not_followed(tmp_path: Path) -> None:
    """Neither read, nor written through."""
    bucket, victim = tmp_path / "bucket", tmp_path / "victim"
    bucket.mkdir()
    victim.write_text("mine")
    store = Store(f"file://{bucket}")
    store.put("config.yaml", b"seed: 0\n")
    (bucket / ".best.json.part").symlink_to(victim)
    (bucket / "best.json.part").symlink_to(victim)
    store.put("best.json", b"{}")
    (bucket / "link.json").symlink_to(victim)
    (bucket / "deep").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"(link\.json|deep) is a link"):
        store.names()
    for name in ("link.json", "deep/victim"):
        with pytest.raises(InputError, match="expected a file or folder of its own; it is a link"):
            store.put(name, b"theirs")
        with pytest.raises(InputError, match="it is a link"):
            store.delete(name)
    assert victim.read_text() == "mine"


def test_links_of_a_run_are_not_mirrored(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    store = Store("hostile://bucket/new")
    Hostile.objects.clear()
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "deep").symlink_to(tmp_path)
    (folder / "back\\slash").write_text("a name that a store would be refused for")
    mirror = Mirror(folder, store, note=print)
    mirror.claim()
    mirror.push()
    assert set(Hostile.objects) == {"bucket/new/config.yaml", "bucket/new/owner.json"}


def test_a_store_that_is_away_for_seconds_ends_no_search(tmp_path: Path, hostile: type[Hostile]) -> None:
    """It may say that it cannot be reached, or for a moment that nothing is there at all."""
    store = Store(URL)
    mirror = Mirror(tmp_path / "copy", store, note=print, heartbeat_seconds=0.0)
    mirror.claim()
    mirror.pull()
    mirror.push()
    there = dict(hostile.objects)
    hostile.away = True
    with pytest.raises(InputError, match="the network is away"):
        mirror.push()
    hostile.away = False
    hostile.objects.clear()
    with pytest.raises(InputError, match="expected the journal up to byte"):
        mirror.push()
    assert not hostile.objects  # half a run would be worse than none
    hostile.objects |= there
    mirror.push()
    del hostile.objects["bucket/run/owner.json"]
    mirror.push()
    assert "bucket/run/owner.json" in hostile.objects
    hostile.objects["bucket/run/owner.json"] = b'{"token": '
    mirror.push()
    assert not mirror.lost_ownership
    hostile.objects["bucket/run/owner.json"] = json.dumps({"token": "another's", "beat": 1}).encode()
    with pytest.raises(InputError, match="another process took it over"):
        mirror.push()
    assert mirror.lost_ownership


def test_a_run_that_another_took_over_and_finished_is_not_written(tmp_path: Path, hostile: type[Hostile]) -> None:
    """Its token is gone by then; what it wrote is not."""
    mirror = Mirror(tmp_path / "copy", Store(URL), note=print, heartbeat_seconds=0.0)
    mirror.claim()
    mirror.pull()
    mirror.push()
    with run_folder(URL, fresh=False, note=print, heartbeat_seconds=0.0) as folder:
        resume_toy(folder, evaluations=60)
    before = dict(hostile.objects)
    assert "bucket/run/owner.json" not in before
    with pytest.raises(InputError, match="another process took it over"):
        mirror.push()
    assert hostile.objects == before


def test_the_end_of_a_search_waits_for_its_store(tmp_path: Path, hostile: type[Hostile], monkeypatch: pytest.MonkeyPatch) -> None:
    left = [2]

    def reach(self: Hostile) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError("the network is away")

    mirror = Mirror(tmp_path / "copy", Store(URL), note=print, heartbeat_seconds=0.0)
    mirror.claim()
    mirror.pull()
    mirror.start()
    monkeypatch.setattr(Hostile, "_reach", reach)
    mirror._stop.set()
    mirror.close()
    assert "bucket/run/owner.json" not in hostile.objects


def test_a_watch_loads_what_has_changed(hostile: type[Hostile]) -> None:
    def tag(name: str) -> None:
        hostile.infos[name] = {"ETag": hash(hostile.objects[name])}

    for name in hostile.objects:
        tag(name)
    with followed(URL) as (copy, refresh):
        assert hostile.loaded
        hostile.loaded.clear()
        refresh()
        assert hostile.loaded == []
        journal = (copy / "journal.jsonl").read_bytes()
        new = f"bucket/run/journal/{len(journal):012}.jsonl"
        hostile.objects[new] = b'{"kind":"ask"}\n'
        hostile.objects["bucket/run/run.json"] = b"{}"
        tag(new), tag("bucket/run/run.json")
        refresh()
        assert sorted(hostile.loaded) == [new, "bucket/run/run.json"]
        assert (copy / "journal.jsonl").read_bytes() == journal + b'{"kind":"ask"}\n'
        assert (copy / "run.json").read_bytes() == b"{}"


def test_what_a_store_does_not_date_is_loaded_again(hostile: type[Hostile]) -> None:
    """A time in whole seconds says nothing yet while they last."""
    from time import time

    hostile.infos["bucket/run/run.json"] = {"mtime": float(int(time()))}
    with followed(URL) as (_, refresh):
        hostile.loaded.clear()
        refresh()
        assert {"bucket/run/run.json", "bucket/run/config.yaml"} <= set(hostile.loaded)
        hostile.infos["bucket/run/run.json"] = {"mtime": 1e9}
        refresh()
        hostile.loaded.clear()
        refresh()
        assert "bucket/run/run.json" not in hostile.loaded


def test_a_watch_outlasts_a_store_that_is_away_for_a_while(hostile: type[Hostile]) -> None:
    with followed(URL) as (_, refresh):
        hostile.away = True
        for _ in range(module.PATIENCE - 1):
            refresh()
        hostile.away = False
        refresh()
        hostile.away = True
        for _ in range(module.PATIENCE - 1):
            refresh()
        with pytest.raises(InputError, match="the network is away"):
            refresh()


@pytest.mark.parametrize(
    "url",
    [
        "hostile://bucket/run?token=s3cr3t",
        "hostile://bucket/run?a=b&sig=s3cr3t&c=d",
        "nosuch://bucket/run?token=s3cr3t",
        "hostile://user:s3cr3t@bucket/run",
        "simplecache::nosuch://user:s3cr3t@bucket/run",
        "nosuch://bucket::hostile://user:s3cr3t@bucket/run",
    ],
)
@pytest.mark.parametrize("command", [["watch"], ["report"], ["search", "--resume"], ["search", "demo", "--out"]])
def test_a_secret_of_a_url_is_not_repeated(url: str, command: list[str], hostile: type[Hostile], tmp_path: Path) -> None:
    hostile.away = True
    done = CliRunner().invoke(program, [*command, url])
    assert isinstance(done.exception, InputError), done.exception
    assert "s3cr3t" not in str(done.exception) + done.output
    assert not [path for path in everything(tmp_path) if "s3cr3t" in path]


def test_urls_as_people_see_them() -> None:
    assert without_secrets("s3://bucket/run@home/x") == "s3://bucket/run@home/x"
    assert without_secrets("https://u:p@host:80/x?a=1&b=2#c") == "https://...@host:80/x?a=...&b=...#c"
    assert without_secrets("could not reach https://u:p@host, giving up") == "could not reach https://...@host, giving up"
