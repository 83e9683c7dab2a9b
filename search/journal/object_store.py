"""Objects at a URL, by their names: whatever fsspec and pyarrow know. The one file that reaches over the network.

store = Store("s3://bucket/run")
store.put("run.json", data)
store.names()                       ["run.json"]
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from uninas.errors import InputError

__all__ = ["Store", "is_url"]


def is_url(place: str | os.PathLike[str]) -> bool:
    """Whether a run folder is named by a URL rather than a path."""
    return "://" in str(place)


@final
class Store:
    """The objects below a URL, by their names relative to it.

    Args:
        url: of the run; it need not exist.

    Raises:
        InputError: credentials in the URL, an unknown scheme, or a package that it needs is missing.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        if "@" in url.partition("://")[2].partition("/")[0]:
            raise InputError("run folder: expected a URL without credentials: give them by the environment, as its store expects")
        try:
            self._fs, self._root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            self._fs, self._root = _of_pyarrow(self.url, error)
        except ValueError as error:
            raise InputError(f"{self.url}: expected a URL that fsspec or pyarrow knows; {error}") from None

    def names(self) -> list[str]:
        """Every object's name; none where nothing is there yet."""
        with self._errors("read"):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root)
            except FileNotFoundError:
                return []
        root = self._root.rstrip("/") + "/"
        return sorted(name.removeprefix(root) for name in found if not name.endswith(".part"))

    def get(self, name: str) -> bytes | None:
        """An object's bytes; None where there is none."""
        with self._errors("read"):
            self._fs.invalidate_cache()
            try:
                data: bytes = self._fs.cat_file(f"{self._root}/{name}")
            except FileNotFoundError:
                return None
        return data

    def put(self, name: str, data: bytes) -> None:
        """Write an object, whole or not at all."""
        path = f"{self._root}/{name}"
        with self._errors("written"):
            if isinstance(self._fs, LocalFileSystem):  # object stores make a thing whole themselves
                self._fs.makedirs(self._fs._parent(path), exist_ok=True)
                self._fs.pipe_file(f"{path}.part", data)
                os.replace(f"{path}.part", path)
            else:
                self._fs.pipe_file(path, data)

    def delete(self, name: str) -> None:
        """Remove an object; it may be gone already."""
        with self._errors("written"), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    @contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except InputError:
            raise
        except Exception as error:  # every store has its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{self.url}: cannot be {done}: {said}") from None


def _of_pyarrow(url: str, missing: ImportError) -> tuple[Any, str]:
    """pyarrow, which comes with Ray, has S3, GCS and HDFS of its own."""
    from fsspec.implementations.arrow import ArrowFSWrapper
    from pyarrow import fs

    try:
        found, root = fs.FileSystem.from_uri(url)
    except (OSError, ValueError) as error:
        raise InputError(f"{url}: expected a store that can be reached; {missing}; pyarrow: {error}") from None
    return ArrowFSWrapper(found), root
