"""Call something when another package is imported, by any code, without importing it oneself.

    when_imported("timm", before=repair, after=register)

`import downstream` registers its model in timm in this way, so that a command prints its help without importing timm and torch.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import final

__all__ = ["when_imported"]


def _nothing() -> None:
    return


def when_imported(name: str, *, before: Callable[[], object] = _nothing, after: Callable[[], object] = _nothing) -> None:
    """Call `before` before the first import of a package and `after` after it; `after` at once if it is imported already.

    Args:
        name: of a top-level package, which need not be installed.
        before: called right before the code of the package runs.
        after: called after that code has run. It is not called if the import fails; the next attempt calls both again.
    """
    if name in sys.modules:
        after()
        return
    finder = next((finder for finder in sys.meta_path if isinstance(finder, _Finder)), None)
    if finder is None:
        finder = _Finder()
        sys.meta_path.insert(0, finder)
    finder.awaited.setdefault(name, []).append((before, after))


@final
class _Finder(MetaPathFinder):
    """Finds the awaited packages as the other finders do, and adds the calls around their execution."""

    def __init__(self) -> None:
        self.awaited: dict[str, list[tuple[Callable[[], object], Callable[[], object]]]] = {}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self.awaited:
            return None
        others = (finder.find_spec(fullname, path, target) for finder in sys.meta_path if finder is not self)
        spec = next((spec for spec in others if spec is not None), None)
        if spec is None or spec.loader is None:  # not installed, or a bare folder
            return spec
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            calls = self.awaited.get(fullname, [])
            for before, _ in calls:
                before()
            execute(module)
            self.awaited.pop(fullname, None)
            for _, after in calls:
                after()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]  # of this package's own loader
        return spec
