"""What a training was asked for: its network is read once, and passed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from downstream.commands import train as command
from downstream.train import settings as module
from downstream.train.parts import model_of
from downstream.train.settings import read_settings
from tests.downstream.trainings import settings
from tests.uninas.examples import tiny
from uninas import source, to_text


def test_a_training_reads_its_networks_file_and_its_document_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = tmp_path / "a.json", list[str]()
    path.write_text(to_text(tiny("ET", (32, 32)), {"place": 1}))

    def counted(what: str, function: Any) -> Any:
        return lambda *arguments: made.append(what) or function(*arguments)  # type: ignore[func-returns-value]

    monkeypatch.setattr(source, "_document", counted("file", source._document))
    monkeypatch.setattr(module, "from_document", counted("document", module.from_document))
    asked = settings(arch=command._document(str(path)))
    assert asked.arch["metadata"] == {"place": 1}
    assert model_of(asked, fresh=True).architecture == asked.architecture
    assert made == ["file", "document"]


def test_it_is_kept_as_a_document(tmp_path: Path) -> None:
    asked = settings()
    assert asked.architecture == tiny("ET", (32, 32))
    asked.write(tmp_path)
    assert read_settings(tmp_path) == asked
