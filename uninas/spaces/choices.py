"""What a categorical search space is: genotypes as plain JSON data, and the network that each one stands for.

A space defines how a genotype is drawn, what its neighbours are and whether it is legal, and builds its architecture;
cost, files, drawings, scores and searches then need nothing more. `Product` is such a space made of named positions with options;
a space that is no product (`nasbench101`, `mobilenetv2`) is a class of its own with the methods of `ChoiceSpace`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any, Protocol, final, runtime_checkable

from uninas.canonical import canonicalise
from uninas.errors import InputError
from uninas.graph import Architecture

Genotype = Any
"""Plain JSON data: mappings, lists, texts, numbers. Each space has its own form of it."""

_TRIES = 10_000  # draws for a legal genotype

MOST_LISTED = 100_000
"""A space of more combinations is not gone through one by one."""


class SpaceError(InputError):
    """A space breaks the contract of `ChoiceSpace`, whatever the genotype: its code has to be fixed."""


class Unbuildable(InputError):
    """A genotype that its space calls legal, and that is no network: a width that heads do not divide, for instance."""


class ChoiceSpace(Protocol):
    """The contract. Every method is a pure function of its arguments; `rng` is the only randomness.

    Attributes:
        name: what a configuration and the command line call it.
        size: how many genotypes there are, or how many of them differ where the source counts those; None where that is unknown.
        classes: outputs of the network in the source.
        input_size: (height, width) in pixels in the source.
    """

    @property
    def name(self) -> str:
        """See above."""
        ...

    @property
    def size(self) -> int | None:
        """See above."""
        ...

    @property
    def classes(self) -> int:
        """See above."""
        ...

    @property
    def input_size(self) -> tuple[int, int]:
        """See above."""
        ...

    def start(self) -> Genotype:
        """Return the genotype that a search begins with."""
        ...

    def sample(self, rng: random.Random) -> Genotype:
        """Draw a legal genotype that depends on no other."""
        ...

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """Draw a legal neighbour: exactly one choice differs. Leave the argument as it is. Raises InputError without any."""
        ...

    def fault(self, genotype: Genotype) -> str | None:
        """Say why it is no legal genotype of this space, or None. It may be any JSON data."""
        ...

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Build the network of a legal genotype. Raises InputError where it cannot be built: no space has to foresee that."""
        ...

    def text(self, genotype: Genotype) -> str:
        """Write a legal genotype in one line, as the source writes it where it does."""
        ...

    def parse(self, text: str) -> Genotype:
        """Read what `text` wrote. Raises InputError that says what was expected, what was given and where."""
        ...


@runtime_checkable
class Listed(Protocol):
    """What a space of few genotypes offers beside `ChoiceSpace`."""

    def every(self) -> Iterator[Genotype] | None:
        """Give every legal genotype once, always in the same order; None where there are too many to go through."""
        ...


def architecture_of(
    space: ChoiceSpace, text: str, classes: int | None = None, input_size: tuple[int, int] | None = None
) -> Architecture:
    """Build the network that a text names in a space, by default with the source's classes and input size. Raises InputError."""
    genotype = space.parse(text)
    return space.build(genotype, space.classes if classes is None else classes, input_size or space.input_size)


def canonical_network(space: ChoiceSpace, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
    """Return the network of a legal genotype in canonical form. Raises Unbuildable, which names the genotype and says why."""
    try:
        return canonicalise(space.build(genotype, classes, input_size))
    except SpaceError:
        raise
    except InputError as error:
        built = space.text(genotype)
        raise Unbuildable(f"{space.name}: expected to build {built}, which it calls legal; {error}") from None


def check_legal(space: ChoiceSpace, genotype: Genotype, what: str = "genotype") -> Genotype:
    """Return the genotype itself. Raises InputError where the space finds a fault in it."""
    fault = space.fault(genotype)
    if fault is not None:
        raise InputError(f"{space.name}: {what} {shown(genotype)}: {fault}")
    return genotype


def shown(value: object) -> str:
    """Return some JSON data for a message, no longer than a line."""
    text = value if isinstance(value, str) and value.isprintable() else repr(value)
    return text if len(text) <= 160 else text[:157] + "..."


@final
@dataclass(frozen=True, kw_only=True)
class Product:
    """A space of named positions, each with its options, chosen independently of each other.

    A genotype is a mapping {position: option}. It is written `width=16 kernel=3` unless `write` and `read` say otherwise.

    Attributes:
        name: see `ChoiceSpace`.
        positions: {position: options}; options are JSON data, at least one each, all different. They are kept as JSON gives them
            back: a tuple is a list.
        network: builds the architecture from (genotype, classes, input size). It may change its genotype.
        classes: outputs of the network, by default.
        input_size: (height, width) in pixels, by default.
        first: the genotype a search begins with; default: the first option of each position.
        legal: explains in words why a combination is illegal, or returns None; default: every combination is legal.
        write: a genotype's text, for spaces that have a form of their own.
        read: what `write` wrote, back as {position: option}; raises InputError. What it gives is checked.

    Raises:
        ValueError: options that are no list of JSON data, are empty, equal, or (without `write`) look the same in a text.
    """

    name: str
    positions: Mapping[str, Sequence[Any]]
    network: Callable[[Mapping[str, Any], int, tuple[int, int]], Architecture]
    classes: int = 1000
    input_size: tuple[int, int] = (224, 224)
    first: Mapping[str, Any] | None = None
    legal: Callable[[Mapping[str, Any]], str | None] | None = None
    write: Callable[[Mapping[str, Any]], str] | None = None
    read: Callable[[str], Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        kept = {}
        for position, options in self.positions.items():
            if isinstance(options, str) or not isinstance(options, Sequence):
                raise ValueError(f"{self.name}: {position}: expected a list of options; got {shown(options)}")
            try:
                kept[position] = tuple(as_json(option) for option in options)
            except TypeError as error:
                raise ValueError(f"{self.name}: {position}: expected JSON data; got {shown(options)}: {error}") from None
            texts = [_option_text(option) for option in kept[position]]
            if not texts or len(set(texts)) != len(texts):
                raise ValueError(f"{self.name}: {position}: expected options that differ, at least one; got {list(options)}")
            if self.write is None and any(not text or len(text.split()) != 1 for text in [position, *texts]):
                raise ValueError(f"{self.name}: {position}: expected names and options without blanks; got {list(options)}")
        object.__setattr__(self, "positions", kept)

    @property
    def size(self) -> int | None:
        """Number of combinations; None where not all of them are legal."""
        return prod(map(len, self.positions.values())) if self.legal is None else None

    def start(self) -> dict[str, Any]:
        """Return a copy of `first`."""
        found: dict[str, Any] = as_json(
            {position: options[0] for position, options in self.positions.items()} | dict(self.first or {})
        )
        return found

    def sample(self, rng: random.Random) -> dict[str, Any]:
        """Draw each option with the same chance, again until they are legal together. Raises InputError when they never are."""
        for _ in range(_TRIES):
            genotype: dict[str, Any] = as_json({position: rng.choice(options) for position, options in self.positions.items()})
            if self._legal_fault(genotype) is None:
                return genotype
        raise InputError(f"{self.name}: expected a legal genotype among {_TRIES:,} samples; none was")

    def mutate(self, genotype: Genotype, rng: random.Random) -> dict[str, Any]:
        """Draw a legal neighbour, each with the same chance. Raises InputError where there is none."""
        found = list(self.neighbours(genotype))
        if not found:
            raise InputError(f"{self.name}: expected a legal neighbour of {shown(self.text(genotype))}; there is none")
        return rng.choice(found)

    def neighbours(self, genotype: Genotype) -> Iterator[dict[str, Any]]:
        """Return every legal genotype that differs in one position."""
        for position, options in self.positions.items():
            for option in options:
                if not _same(option, genotype[position]):
                    neighbour = as_json({**genotype, position: option})
                    if self._legal_fault(neighbour) is None:
                        yield neighbour

    def every(self) -> Iterator[dict[str, Any]] | None:
        """Return every legal genotype, the last position changing fastest; None for more than `MOST_LISTED` combinations."""
        if prod(map(len, self.positions.values())) > MOST_LISTED:
            return None
        combinations = (dict(zip(self.positions, options, strict=True)) for options in product(*self.positions.values()))
        return (as_json(genotype) for genotype in combinations if self._legal_fault(genotype) is None)

    def fault(self, genotype: Genotype) -> str | None:
        """Find an unknown, missing or impossible position, or what `legal` objects to."""
        if not isinstance(genotype, Mapping):
            return f"expected a mapping of {', '.join(self.positions)}"
        for position in (*self.positions, *genotype):
            if position not in self.positions:
                return f"expected no other positions than {', '.join(self.positions)}; got {shown(str(position))}"
            if position not in genotype:
                return f"expected an option for {position}; got none"
            if not any(_same(genotype[position], option) for option in self.positions[position]):
                known = ", ".join(map(_option_text, self.positions[position]))
                return f"{position}: expected one of {shown(known)}; got {shown(_option_text(genotype[position]))}"
        return self._legal_fault(genotype)

    def _legal_fault(self, genotype: Mapping[str, Any]) -> str | None:
        """Ask `legal` about the options."""
        said = None if self.legal is None else self.legal(as_json(genotype))
        if said is not None and not isinstance(said, str):
            raise SpaceError(f"{self.name}: legal: expected a text that explains what is wrong, or None; got {shown(said)}")
        return said

    def build(self, genotype: Genotype, classes: int, input_size: tuple[int, int]) -> Architecture:
        """Build the network, as `network` does."""
        return self.network(as_json(genotype), classes, input_size)

    def text(self, genotype: Genotype) -> str:
        """Write `width=16 kernel=3`, or what `write` makes of it."""
        if self.write is not None:
            return self.write(genotype)
        return " ".join(f"{position}={_option_text(genotype[position])}" for position in self.positions)

    def parse(self, text: str) -> dict[str, Any]:
        """Read what `text` wrote. Raises InputError."""
        if self.read is not None:
            found = dict(self.read(text))
        else:
            found = {}
            for word in text.split():
                position, equals, written = word.partition("=")
                if not equals or position in found:
                    raise InputError(f"{self.name}: expected position=option once each; got {shown(word)!r} in {shown(text)!r}")
                options = {_option_text(option): option for option in self.positions.get(position, ())}
                found[position] = options.get(written, written)
        check_legal(self, found)
        return found


def as_json(value: Any) -> Any:
    """Copy a value as JSON gives it back: what is searched is what a journal holds. Raises TypeError or ValueError."""
    return json.loads(json.dumps(value))


def _option_text(option: object) -> str:
    """An option in a text: bare where it is one, else compact JSON."""
    return option if isinstance(option, str) else json.dumps(option, separators=(",", ":"))


def _same(one: object, other: object) -> bool:
    """Equal as JSON: 1 is neither 1.0 nor true, a list is a tuple."""
    return one == other if isinstance(one, str) or isinstance(other, str) else _option_text(one) == _option_text(other)
