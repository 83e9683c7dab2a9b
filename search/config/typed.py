"""A mapping from YAML as a dataclass of configuration: names, numbers and types are checked. The only file that knows OmegaConf.

    schema = Schema(SearchConfig)
    schema.override(values, "budget.params=600_000")        in place
    config = schema.fill(values, "demo.yaml")               or an InputError of one line: what was expected, what it got, where

OmegaConf checks the types; what it cannot do is added here: the nearest known key, numbers in every spelling, no silent
conversion. Text such as ${oc.env:HOME} is rejected and never resolved: a stored configuration must mean the same on every
machine, and must hold no secret.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar, final

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from uninas.errors import InputError
from uninas.files.reading import parse_yaml

__all__ = ["Schema", "describe", "mapping", "read_yaml"]

T = TypeVar("T")


def read_yaml(text: str, source: str) -> Any:
    """Read YAML; what is wrong with it is said with its line."""
    try:
        return parse_yaml(text)
    except ValueError as error:
        line, _, said = str(error).partition(": ")
        where, said = (f", {line}", said) if re.fullmatch(r"line \d+", line) else ("", str(error))
        raise InputError(f"{source}{where}: expected YAML; {said}") from None


def mapping(text: str, source: str, keys: str = "search keys") -> dict[Any, Any]:
    """Read YAML that is a mapping; `keys` names what it should hold."""
    document = read_yaml(text, source)
    if document is None:
        raise InputError(f"{source}: expected a YAML mapping of {keys}; the file is empty")
    if not isinstance(document, dict):
        raise InputError(f"{source}: expected a YAML mapping of {keys}; got {describe(document)}")
    return document


@final
class Schema(Generic[T]):
    """The keys of a configuration, as a dataclass declares them.

    Args:
        type_: the dataclass; its defaults are those of the configuration.
        mappings: keys whose override may be a mapping although they are text.
    """

    def __init__(self, type_: type[T], mappings: tuple[str, ...] = ()) -> None:
        self._type = type_
        self._mappings = mappings

    def fill(self, values: dict[Any, Any], source: str) -> T:
        """Make the configuration of a mapping.

        Raises:
            InputError: an unknown key, or a value of another type.
        """
        return self._typed(self.plain(values, self._type, "", source), source)

    def override(self, values: dict[Any, Any], override: str) -> None:
        """Set one `a.b=value` in the nested mapping, in place."""
        dotted, equals, text = override.partition("=")
        if not equals or not dotted.strip():
            raise InputError(f"override '{override}': expected key=value, for instance evaluations=200 or budget.params=5000000")
        *path, last = dotted.strip().split(".")
        for name in path:
            inner = values.get(name)
            if inner is None:
                inner = values[name] = {}
            if not isinstance(inner, dict):
                raise InputError(
                    f"override '{override}': expected {name} to be a mapping; the configuration has {describe(inner)}"
                )
            values = inner
        values[last] = text.strip() if self._is_text(dotted, text) else read_yaml(text, f"override '{override}'")

    def _is_text(self, dotted: str, text: str) -> bool:
        """Whether an override's value is the text itself: 16:16:32 where text is expected is no number of base 60."""
        plain = text.strip()
        if plain.startswith("{") and dotted.strip() in self._mappings:
            return False
        return self.hint(dotted) is str and plain[:1] not in ("", '"', "'") and plain not in ("null", "~")

    def hint(self, where: str) -> Any:
        """Give the declared type of a key, dotted and with [places] in lists, None apart; `Any` for no key."""
        hint: Any = self._type
        for name in re.findall(r"[^.\[\]\s]+", where):
            if dataclasses.is_dataclass(hint):
                hint = typing.get_type_hints(hint).get(name, Any)
            else:
                hint = (typing.get_args(hint) or (Any,))[-1]  # of the items
            if isinstance(hint, types.UnionType):
                hint = typing.get_args(hint)[0]
        return hint

    def plain(self, value: Any, hint: Any, where: str, source: str) -> Any:
        """Check names, and write numbers and sizes in one way, however they were given; OmegaConf checks the types of the rest.

        Here is rejected what it would convert without a word, such as 5 to "5" and 1 to true.
        """
        section = dataclasses.is_dataclass(hint)
        listed = typing.get_origin(hint) is list
        if (section and not isinstance(value, dict)) or (listed and isinstance(value, dict)):
            raise self._mistyped(value, where, source)
        if isinstance(value, dict):
            names = typing.get_type_hints(hint) if section else [name for name in value if isinstance(name, str)]
            unknown = next((name for name in value if name not in names), None)
            prefix = f"{where}." if where else ""
            if unknown is not None:
                if section:
                    raise InputError(f"{source}: {_unknown(prefix, unknown, names)}")
                raise self._mistyped(value, where, source)
            places = {name: f"{prefix}{name}" for name in value}
            return {name: self.plain(item, self.hint(places[name]), places[name], source) for name, item in value.items()}
        if where == "size":
            value = _size(value)
        if isinstance(value, list):
            inside = [f"{where}[{place}]" for place in range(len(value))]
            return [self.plain(item, self.hint(name), name, source) for name, item in zip(inside, value, strict=True)]
        if isinstance(value, str) and "${" in value:
            raise InputError(f"{source}: {where}: expected a plain value; got '{value}', and references are never resolved here")
        value = _number(value, hint)
        strict = hint in (str, bool) and value is not None and type(value) is not hint
        if strict or (isinstance(value, float) and not math.isfinite(value)):
            raise self._mistyped(value, where, source)
        return value

    def _typed(self, plain: Any, source: str) -> T:
        """Let OmegaConf check every value against the types of the schema."""
        try:
            config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(self._type), plain))
        except OmegaConfBaseException as error:
            where = str(getattr(error, "full_key", None) or "?")
            value = plain
            for name in re.findall(r"[^.\[\]]+", where):
                value = value[int(name)] if isinstance(value, list) else {str(key): item for key, item in value.items()}.get(name)
            raise self._mistyped(value, where, source) from None
        assert isinstance(config, self._type)
        return config

    def _mistyped(self, value: Any, where: str, source: str) -> InputError:
        hint = self.hint(where)
        other = "a list" if typing.get_origin(hint) is list else "a mapping"
        quotes = ": put it in quotes" if hint is str and isinstance(value, int | float) else ""
        return InputError(f"{source}: {where}: expected {_EXPECTED.get(hint, other)}; got {describe(value)}{quotes}")


def _unknown(prefix: str, name: Any, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1, cutoff=0.0)
    return f"unknown key '{prefix}{name}'; nearest known key is '{prefix}{near[0]}'"


def _size(value: Any) -> Any:
    """Accept 224, [224, 224] and 224x224 for a size; anything else is left for the type check."""
    if isinstance(value, str) and (match := re.fullmatch(r"(\d+)(?:x(\d+))?", value.strip())):
        value = [int(match[1]), int(match[2] or match[1])]
    return [value, value] if isinstance(value, int) and not isinstance(value, bool) else value


def _number(value: Any, hint: Any) -> Any:
    """Read text as a number where one is expected: YAML 1.1 takes 5.0e6 and 1e6, without a sign in the exponent, for text.

    A whole number may be written with a point. What is no number is left for the type check.
    """
    if hint in (int, float) and isinstance(value, str):
        with suppress(ValueError):
            value = float(value)
    whole = isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT
    return int(value) if hint is int and whole else value


_EXACT = 2.0**53
"""Up to here a floating-point number says which whole number was meant."""


_EXPECTED = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list[int]: "a list of whole numbers",
    list[str]: "a list of names",
    dict[str, float]: "a mapping of names to numbers",
    Any: "a finite number or text",
}


def describe(value: Any) -> str:
    """Say in a few words what a value is."""
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    text = str(value)
    return f"{'text' if isinstance(value, str) else type(value).__name__} '{text if len(text) <= 60 else text[:57] + '...'}'"
