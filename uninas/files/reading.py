"""Text files of other people: read up to a size, and JSON and YAML taken for what they say or for an error.

A file that is too large, a key given twice, a nesting without end and a number that no person meant are a ValueError here, before
they take memory or time; the caller says which file, and what was expected.
"""

from __future__ import annotations

import json
import locale
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["MOST_BYTES", "opened_as_utf8", "parse_json", "parse_yaml", "read_json", "read_text", "unique"]

MOST_BYTES = 64 << 20
"""Of a file, where a caller does not say otherwise: larger than any that this program writes."""

_MOST_YAML_BYTES = 1 << 20
_MOST_NODES = 100_000
"""Values of a YAML document, those that aliases repeat included."""

_MOST_DIGITS = 100


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text file.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or no UTF-8.
    """
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"expected at most {most:,} bytes; it is larger")
    return content.decode("utf-8-sig")  # Windows puts a mark before a text


@contextmanager
def opened_as_utf8() -> Iterator[None]:
    """Let other packages open text as UTF-8 inside, whatever the locale: pycocotools and mmengine do not say what they mean.

    In ISO 8859-1 the names of COCO's classes would be others than in the file, and no object would belong to one. Names of
    files stay as the process decodes them. A system without a locale of UTF-8 stays as it is.
    """
    before = locale.setlocale(locale.LC_CTYPE)
    if locale.getencoding().lower().replace("-", "") != "utf8":
        for name in ("C.UTF-8", "en_US.UTF-8"):
            try:
                locale.setlocale(locale.LC_CTYPE, name)
                break
            except locale.Error:
                continue
    try:
        yield
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """Read a JSON file. Raises OSError and ValueError as `read_text` and `parse_json`."""
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: it is none, or nested too deep; a key is given twice, or a number has thousands of digits.
    """
    try:
        return json.loads(text, object_pairs_hook=unique)
    except RecursionError:
        raise ValueError("nested too deep") from None


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object of its pairs. Raises ValueError for a key given twice, of which json would keep the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {twice[:80]!r} is given twice")
    return found


def parse_yaml(text: str) -> Any:
    """Read one YAML document of plain data.

    Numbers are decimal, or hexadecimal and binary with 0x and 0b: YAML 1.1 would take 010 for 8, and 1:30 for 90.

    Raises:
        ValueError: it is none, or too large or too deep; a key is given twice, an alias leads to itself or aliases repeat too
            much, a number has more than a hundred digits. Where a line is to be blamed, the message begins with "line N: ".
    """
    import yaml

    if len(text) > _MOST_YAML_BYTES:
        raise ValueError(f"expected at most {_MOST_YAML_BYTES:,} characters; it is longer")
    try:
        loader = _loader()(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{where}{error.problem}") from None
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    except (AttributeError, TypeError, LookupError, OverflowError) as error:  # of a value that its tag does not fit
        raise ValueError(f"a value that is not of its type; {error}") from None


@cache
def _loader() -> type[Any]:
    """PyYAML's safe loader without what it reads otherwise than people do; yaml is imported where a file is read."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"the key '{key.value[:80]}' is given twice", node.start_mark
                        )
                    seen.add(key.value)
            return super().construct_mapping(node, deep)

        def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
            word = node.value.replace("_", "")
            if len(word) > _MOST_DIGITS:
                problem = f"a whole number of at most {_MOST_DIGITS} digits is expected"
                raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
            return int(word, 0 if re.match(r"[-+]?0[xb]", word) else 10)

    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in found if tag not in (_INT, _FLOAT)]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(_INT, _WHOLE, list("-+0123456789"))
    Loader.add_implicit_resolver(_FLOAT, _REAL, list("-+0123456789."))
    Loader.add_constructor(_INT, Loader.construct_yaml_int)
    return Loader


_INT, _FLOAT = "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"
_WHOLE = re.compile(r"^[-+]?(?:0b[0-1_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
_REAL = re.compile(
    r"^[-+]?(?:(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
)
"""PyYAML's own two patterns without octal numbers and those of base 60."""


def _count(node: Any, sizes: dict[int, int]) -> int:
    """Count the values below a node, each as often as aliases repeat it.

    Raises:
        ValueError: there are too many, or an alias leads to itself.
    """
    known = sizes.get(id(node))
    if known is not None:
        if known == 0:  # still being counted
            raise ValueError(f"line {node.start_mark.line + 1}: an alias stands within what it repeats")
        return known
    sizes[id(node)] = 0
    size = 1
    for item in node.value if isinstance(node.value, list) else []:
        size += sum(_count(one, sizes) for one in item) if isinstance(item, tuple) else _count(item, sizes)
        if size > _MOST_NODES:
            raise ValueError(f"expected at most {_MOST_NODES:,} values; aliases count as often as they repeat")
    sizes[id(node)] = size
    return size
