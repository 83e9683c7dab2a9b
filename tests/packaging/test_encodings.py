"""Files are UTF-8 whatever the locale: no text is read or written in the encoding that a machine happens to have.

Ruff's PLW1514 sees only paths whose type it can infer; this looks at every call.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.search.conftest import ROOT

FOLDERS = ("uninas", "proxies", "search", "downstream", "benchmarks", "docs", "configs")


def in_the_locales_encoding(tree: ast.AST) -> Iterator[int]:
    """Lines with a call that opens text and names no encoding."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or any(word.arg == "encoding" for word in node.keywords):
            continue
        named = {word.arg: word.value for word in node.keywords}
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        method = isinstance(node.func, ast.Attribute)
        owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
        if name in ("read_text", "write_text"):
            found = method
        elif name in ("open", "fdopen") and not (name == "open" and owner == "os"):
            place = 1 if name == "fdopen" or not method else 0  # of the mode: a path's own method has no file before it
            mode = named.get("mode") or (node.args[place] if len(node.args) > place else None)
            word = mode.value if isinstance(mode, ast.Constant) and isinstance(mode.value, str) else None
            found = (mode is None and (not method or not node.args)) or (word is not None and set(word) <= set("rwax+t"))
        elif name in ("run", "Popen", "check_output"):
            found = {"text", "universal_newlines"} & set(named) != set()
        else:
            found = name == "TextIOWrapper"
        if found:
            yield node.lineno


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_is_read_and_written_as_utf8(folder: str) -> None:
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        lines = list(in_the_locales_encoding(ast.parse(file.read_text(encoding="utf-8"))))
        assert not lines, f"{file.relative_to(ROOT)}:{lines[0]}: expected encoding= in a call that opens text"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, mode='a')", True),
        ("open(path, 'rb')", False),
        ("open(path, 'w', encoding='utf-8')", False),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.open('wb')", False),
        ("Image.open(path)", False),
        ("os.open(path, os.O_RDONLY)", False),
        ("os.fdopen(number, 'w')", True),
        ("path.read_text()", True),
        ("path.write_text(text, encoding='utf-8')", False),
        ("read_text(path)", False),
        ("io.TextIOWrapper(stream)", True),
        ("subprocess.run(words, text=True)", True),
    ],
)
def test_what_is_looked_for(line: str, found: bool) -> None:
    assert list(in_the_locales_encoding(ast.parse(line))) == [1] * found
