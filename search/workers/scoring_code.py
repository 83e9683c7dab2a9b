"""By which code scores are computed: the version, the revisions of the proxies, and digests of what decides a value.

    scoring_code(["vkdnw", "jacov"])        of this process
    now.changes(before)                     what differs, in words; none where scores of both are comparable

The digest is of the statements of the modules below: comments, docstrings, blank lines and all else of the project (reports,
displays, commands) leave it as it is. A proxy that is not of this package has the digest of its own file beside it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import io
import sys
import tokenize
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import proxies
from proxies.errors import ProxyUsageError
from proxies.table import TABLE
from search.workers import own_proxies
from uninas.runtime.version import version

__all__ = ["SEARCH", "ScoringCode", "digest", "files_of", "scoring_code"]

ROOT = Path(__file__).parents[2]
"""The folder of the four packages."""

SEARCH = (
    "proxies",
    "search/workers/counted.py",
    "search/workers/evaluate.py",
    "search/workers/job.py",
    "search/workers/pictures.py",
    "search/workers/real_batches.py",
    "uninas/analysis/cost.py",
    "uninas/analysis/graph_cost.py",
    "uninas/analysis/lanes.py",
    "uninas/analysis/matrices.py",
    "uninas/analysis/trainable.py",
    "uninas/attributes.py",
    "uninas/branches.py",
    "uninas/canonical.py",
    "uninas/compile",
    "uninas/files/pictures.py",
    "uninas/graph.py",
    "uninas/labelling.py",
    "uninas/operation.py",
    "uninas/ops.py",
    "uninas/rules",
    "uninas/shapes.py",
    "uninas/text.py",
)
"""Files and folders that decide a score of a search: from an architecture's text to its module, and from there to the number."""

_UNDECISIVE = ("proxies/testing.py", "proxies/measuring/timing.py")  # checks for authors; latencies are measured, not computed


@final
@dataclass(frozen=True, slots=True)
class ScoringCode:
    """The code that computed scores; also a record of a journal, which says what scored the candidates behind it.

    Attributes:
        version: of this distribution, for people: it decides nothing.
        digest: of this project's own code.
        others: digests of files that are not of this project, by name: those that define proxies of one's own.
        revisions: by proxy, see `proxies.REVISIONS`.
    """

    version: str
    digest: str
    others: Mapping[str, str] = field(default_factory=dict)
    revisions: Mapping[str, int] = field(default_factory=dict)

    def changes(self, before: ScoringCode) -> list[str]:
        """Say what decides a score and is another than before, a phrase each; an equal version says nothing, nor does another."""
        revisions = _different(self.revisions, before.revisions, 0)
        found = [f"{name} is revision {now} now and was {was}" for name, now, was in revisions]
        others = _different(self.others, before.others, None)
        found += [f"{name} is {_short(now)} now and was {_short(was)}" for name, now, was in others]
        if self.digest != before.digest:
            versions = "" if self.version == before.version else f" (uninas {self.version} now, {before.version} then)"
            found.append(f"the scoring code is {_short(self.digest)} now and was {_short(before.digest)}{versions}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Give the line as JSON-able data."""
        return {"kind": "code", **self.about()}

    def about(self) -> dict[str, Any]:
        """Give the same for a journal's header."""
        return {
            "version": self.version,
            "digest": self.digest,
            "others": dict(self.others),
            "revisions": dict(self.revisions),
        }

    @staticmethod
    def parse(data: Mapping[str, Any]) -> ScoringCode:
        """Read what `as_dict` or `about` gave."""
        digests = {str(name): str(one) for name, one in data["others"].items()}
        revisions = {str(name): int(one) for name, one in data["revisions"].items()}
        return ScoringCode(str(data["version"]), str(data["digest"]), digests, revisions)


def scoring_code(names: Iterable[str], places: Collection[str] = SEARCH) -> ScoringCode:
    """Describe the code of this process.

    Args:
        names: of the proxies that score.
        places: what decides their values, relative to `ROOT`.
    """
    wanted = tuple(names)
    revisions = {name: proxies.REVISIONS.get(name, 0) for name in wanted}
    return ScoringCode(version(), digest(tuple(places)), _others(wanted), revisions)


@functools.cache
def digest(places: tuple[str, ...] = SEARCH) -> str:
    """Give the SHA-256 of the statements of these files, and of those in these folders."""
    found = hashlib.sha256()
    for name in files_of(places):
        found.update(f"{name}\n{_statements((ROOT / name).read_text(encoding='utf-8'))}\n".encode())
    return found.hexdigest()


def files_of(places: Collection[str]) -> list[str]:
    """List the Python files of these places, relative to `ROOT`, sorted."""
    found = set[str]()
    for place in places:
        path = ROOT / place
        files = path.rglob("*.py") if path.is_dir() else [path]
        found |= {file.relative_to(ROOT).as_posix() for file in files}
    return sorted(found.difference(_UNDECISIVE))


def _statements(source: str) -> str:
    """Give the text of a program without comments, docstrings and blank lines: the same whatever Python reads it."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            first, last = node.lineno - 1, node.end_lineno or node.lineno
            if not lines[first][: node.col_offset].strip():
                lines[first:last] = [""] * (last - first)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _others(names: Iterable[str]) -> dict[str, str]:
    """Give the digests of the files that define those of the proxies that are not of this package."""
    found: dict[str, str] = {}
    for name in names:
        if name in TABLE:
            continue
        file = own_proxies.file_of([name])
        if file is not None:
            found["proxies.py"] = hashlib.sha256(file.text.encode()).hexdigest()  # as the run calls its copy
            continue
        try:
            module = inspect.unwrap(proxies.PROXIES[name]).__module__
        except (KeyError, ProxyUsageError, AttributeError):
            continue  # there is no such proxy, which is said elsewhere, or an object that is called
        path = getattr(sys.modules.get(module), "__file__", None)
        if path is not None and Path(path).is_file():
            found[module] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return found


def _different(now: Mapping[str, Any], before: Mapping[str, Any], usual: Any) -> list[tuple[str, Any, Any]]:
    names = dict.fromkeys((*now, *before))
    both = ((name, now.get(name, usual), before.get(name, usual)) for name in names)
    return [(name, new, old) for name, new, old in both if new != old]


def _short(digest: str | None) -> str:
    return "not there" if digest is None else digest[:12]
