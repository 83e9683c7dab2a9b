"""The journal in pieces, as an object store holds it: objects cannot grow, so new lines are a new one, named by its offset.

    journal/000000000000.jsonl      the first lines
    journal/000000004711.jsonl      those from byte 4711 on

Pieces are whole lines; small ones are joined from time to time under the name of the first, and a reader skips what a joined one
covers: at every moment the store holds the whole journal up to some line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from search.journal.object_store import Listed, Store
from uninas.errors import InputError

__all__ = ["JOIN", "PIECE", "assemble", "end", "piece"]

JOIN = 64
"""This many small pieces of the journal are joined into one."""

PIECE = re.compile(r"journal/([0-9]{12,19})\.jsonl")


def piece(offset: int) -> str:
    """Name the piece that begins at a byte."""
    return f"journal/{offset:012}.jsonl"


def _offsets(names: Mapping[str, Listed]) -> list[tuple[int, str]]:
    found = [(int(match[1]), name) for name in names if (match := PIECE.fullmatch(name))]
    return sorted(found)


def end(objects: Mapping[str, Listed]) -> int:
    """Where the pieces end, in bytes, as far as their names and sizes say."""
    return max((offset + objects[name].size for offset, name in _offsets(objects)), default=0)


def assemble(
    store: Store, objects: Mapping[str, Listed] | None = None, held: bytes = b"", known: Mapping[str, Listed] | None = None
) -> tuple[bytes, list[int]]:
    """Put the journal's pieces together; gives the offsets of those at its end that are still to be joined, too.

    Args:
        store: that has them.
        objects: of the store; None to ask it.
        held: what was assembled from it before.
        known: the objects of then: a piece that has not changed since is not loaded again.

    Raises:
        InputError: a piece is missing, or the store cannot be read.
    """
    objects = store.objects() if objects is None else objects
    whole, used = bytearray(), []
    for offset, name in _offsets(objects):
        listed = objects[name]
        data: bytes | None
        if known and listed.version is not None and known.get(name) == listed and offset + listed.size <= len(held):
            data = held[offset : offset + listed.size]
        else:
            data = store.get(name)
        if data is None:
            raise InputError(f"{store.url}: expected {name}; it is gone: another process is at this run")
        if offset > len(whole):
            raise InputError(f"{store.url}: expected a piece of the journal from byte {len(whole)} on; the next is {name}")
        if offset + len(data) > len(whole):
            whole += data[len(whole) - offset :]
            used.append(offset)
    return bytes(whole), used[-JOIN + 1 :]
