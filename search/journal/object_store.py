"""Objects at a URL, by their names: whatever fsspec and pyarrow know. The one file that reaches over the network.

store = Store("s3://bucket/run")
store.put("run.json", data)
store.names()                       ["run.json"]

What a store says of itself is somebody else's data: names that lead out of a run and sizes that no run has are errors.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from uninas.errors import InputError
from uninas.files.paths import below, own_folder, plain
from uninas.files.writing import replacing

__all__ = ["Listed", "Store", "is_url", "without_secrets"]

LARGEST_OBJECT, LARGEST_RUN = 1 << 30, 8 << 30
"""Bytes. A candidate takes about 700 in a journal, so this is room for ten million of them."""

MOST_OBJECTS = 100_000

_SETTLED_SECONDS = 10.0  # a time of change in whole seconds says nothing while another change may come in the same second
_STRONG = ("ETag", "etag", "md5Hash", "generation", "ino")  # differ whenever the content does
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "created")


def is_url(place: str | Path) -> bool:
    """Whether a run folder is named by a URL rather than a path."""
    return "://" in str(place)


def without_secrets(url: str) -> str:
    """Give a URL as it may be shown to people: without what stands before an @, and without values of its query."""
    url = re.sub(r"://[^/@\s]*@", "://...@", url)
    return re.sub(r"([?&][^=&#\s]*)=[^&#\s]*", r"\1=...", url)


@final
@dataclass(frozen=True, slots=True)
class Listed:
    """What a store says of an object without its content.

    Attributes:
        size: in bytes.
        version: another one after every change; None where the store does not tell.
    """

    size: int
    version: str | None


@final
class Store:
    """The objects below a URL, by their names relative to it.

    Args:
        url: of the run; it need not exist.

    Attributes:
        url: for messages, without secrets.
        place: the URL as it was given.

    Raises:
        InputError: credentials in the URL, an unknown scheme, or a package that it needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")
        self.url = without_secrets(self.place)
        if any("@" in part.partition("/")[0] for part in self.place.split("://")[1:]):
            raise InputError("run folder: expected a URL without credentials: give them by the environment, as its store expects")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.place)
        except ImportError as error:
            self._fs, self._root = _of_pyarrow(self.place, error)
        except ValueError as error:
            raise InputError(f"{self.url}: expected a URL that fsspec or pyarrow knows; {self._said(error)}") from None

    def names(self) -> list[str]:
        """Every object's name; none where nothing is there yet. Raises InputError as `objects`."""
        return list(self.objects())

    def objects(self) -> dict[str, Listed]:
        """Every object by its name, in their order; none where nothing is there yet.

        Raises:
            InputError: the store cannot be read; a name leads out of the run, or over a link; more than a run can hold.
        """
        with self._errors("read"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                return {}
        if len(found) > MOST_OBJECTS:
            raise InputError(f"{self.url}: expected at most {MOST_OBJECTS} objects of a run; there are {len(found)}")
        root, listed = self._root.rstrip("/"), dict[str, Listed]()
        folders = {name.rpartition("/")[0] for name in found}
        for path, info in found.items():
            size = int(info.get("size") or 0)
            # Stores have no folders; an empty object stands for one, by its name or that name with a slash.
            marks = path.rstrip("/") == root or path.endswith("/") or (size == 0 and path in folders)
            if marks or info.get("type") == "directory" or path.endswith(".part"):
                continue
            name = path.removeprefix(root + "/")
            if name == path or not plain(name):
                raise InputError(f"{self.url}: expected names of a run's files; got {without_secrets(name)[:80]!r}")
            if info.get("islink"):
                raise InputError(f"{self.url}: expected files of its own; {name} is a link")
            if size > LARGEST_OBJECT:
                raise InputError(f"{self.url}: expected objects of at most {LARGEST_OBJECT:,} bytes; {name} has {size:,}")
            listed[name] = Listed(size, _version(info))
        if (whole := sum(one.size for one in listed.values())) > LARGEST_RUN:
            raise InputError(f"{self.url}: expected a run of at most {LARGEST_RUN:,} bytes; it has {whole:,}")
        return dict(sorted(listed.items()))

    def get(self, name: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        with self._errors("read"):
            self._fs.invalidate_cache()
            try:
                data: bytes = self._fs.cat_file(self._path(name))
            except FileNotFoundError:
                return None
        return data

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all."""
        with self._errors("written"):
            path = self._path(name)
            if isinstance(self._fs, LocalFileSystem):  # object stores make a thing whole themselves
                folder = Path(self._root)
                folder.mkdir(parents=True, exist_ok=True)
                if "/" in name:
                    own_folder(folder, name.rpartition("/")[0])
                with replacing(Path(path), durable=False) as part:
                    part.write_bytes(data)
            else:
                self._fs.pipe_file(path, data)

    def delete(self, name: str) -> None:
        """Remove an object; it may be gone already."""
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def _path(self, name: str) -> str:
        if isinstance(self._fs, LocalFileSystem):
            return str(below(Path(self._root), name))
        return f"{self._root}/{name}"

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # every store has its own
            raise InputError(f"{self.url}: cannot be {done}: {self._said(error)}") from None

    def _said(self, error: Exception) -> str:
        """What a library says in its error, in one line; such a text likes to repeat the URL."""
        said = " ".join(str(error).replace(self.place, self.url).split())
        return without_secrets(said)[:200] or type(error).__name__


def _version(info: Mapping[str, Any]) -> str | None:
    """Find what tells one content of an object from the next in what its store says of it."""
    strong = [f"{key} {info[key]}" for key in _STRONG if info.get(key)]
    times = [moment for key in _TIMES if (moment := _seconds(info.get(key))) is not None]
    newest = max(times, default=None)
    settled = newest is not None and (newest % 1 or time.time() - newest > _SETTLED_SECONDS)
    return " ".join([*strong, *map(str, times), str(info.get("size"))]) if strong or settled else None


def _seconds(moment: Any) -> float | None:
    if isinstance(moment, datetime):
        return moment.timestamp()
    return float(moment) if isinstance(moment, int | float) else None


def _of_pyarrow(url: str, missing: ImportError) -> tuple[Any, str]:
    """pyarrow, which comes with Ray, has S3, GCS and HDFS of its own."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    try:
        found, root = fs.FileSystem.from_uri(url)
    except (OSError, ValueError) as error:
        said = without_secrets(str(error).replace(url, without_secrets(url)))
        raise InputError(f"{without_secrets(url)}: expected a store that can be reached; {missing}; pyarrow: {said}") from None
    return ArrowFSWrapper(found), root
