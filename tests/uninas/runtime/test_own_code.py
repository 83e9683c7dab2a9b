"""Code that is not ours: a file that runs, and what installed packages offer, with mistakes in one line."""

from __future__ import annotations

import importlib.metadata
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.algorithms import ALGORITHMS, make
from search.ranking.objective import find
from tests.search.fakes import ToySpace
from uninas.errors import InputError
from uninas.runtime import own_code
from uninas.runtime.own_code import Catalogue
from uninas.spaces import SPACES

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def offers() -> Iterator[None]:
    """Forget what a test offers."""
    yield
    own_code._offered.cache_clear()


def offer(monkeypatch: pytest.MonkeyPatch, group: str, **points: str) -> None:
    offered = [importlib.metadata.EntryPoint(name, value, group) for name, value in points.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [one for one in offered if one.group == group])
    own_code._offered.cache_clear()


def test_what_is_ours_what_is_added_and_what_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "things", theirs="math:pi", ours="math:e", broken="nowhere:none", wrong="math:e")

    def accept(name: str, value: object) -> float:
        if name == "wrong":
            raise ValueError("expected pi")
        return float(value)  # type: ignore[arg-type]

    things = Catalogue("thing", "things", {"ours": 1.0}, accept)
    things.add("mine", 2.0)
    things.add("mine", 3.0)
    assert list(things) == ["ours", "mine", "theirs", "broken", "wrong"]
    assert (things["ours"], things["mine"], round(things["theirs"], 2)) == (1.0, 3.0, 3.14)
    assert "broken" in things
    assert things.get("nobody's") is None
    with pytest.raises(InputError, match="thing broken: expected the entry point things of an installed package to load nowhere"):
        things["broken"]
    with pytest.raises(InputError, match=r"thing wrong: .* to load math:e; expected pi"):
        things["wrong"]
    with pytest.raises(InputError, match="expected a new name; got 'ours', one of this package"):
        things.add("ours", 0.0)


def test_an_installed_package_offers_an_algorithm(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "uninas.algorithms", plain="tests.uninas.runtime.offered:Plain", full="tests.uninas.runtime.offered:Full")
    assert (ALGORITHMS["plain"].window, ALGORITHMS["full"].window) == (128, 3)
    run = make("full", ToySpace(), find("flops"), seed=0, options={"steps": 2})
    assert run.ask().candidate.digest


def test_an_installed_package_offers_a_space(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "uninas.spaces", theirs="tests.uninas.runtime.offered:SPACE", none="math:pi")
    space = SPACES["theirs"]
    genotype = space.sample(random.Random(0))
    assert space.fault(genotype) is None
    assert space.build(genotype, space.classes, space.input_size).digest
    with pytest.raises(InputError, match=r"space none: .*; expected a ChoiceSpace; .*float.* lacks name, size"):
        SPACES["none"]


def test_a_configuration_names_an_installed_space(monkeypatch: pytest.MonkeyPatch) -> None:
    from search.config import loading

    offer(monkeypatch, "uninas.spaces", theirs="tests.uninas.runtime.offered:SPACE")
    assert loading.parse("space: theirs\nsize: 32").space.name == "theirs"
