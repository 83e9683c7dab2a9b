"""The data that trainings share; and before any test here imports timm, the remedy for a torchvision without its operators."""

from pathlib import Path

import pytest

import downstream  # noqa: F401
from tests.downstream import pictures, scenes


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images in folders, a class each."""
    return pictures.make(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def annotated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By task, images with objects in the true layout."""
    folder = tmp_path_factory.mktemp("annotated")
    return {"detect": scenes.make_coco(folder / "coco"), "segment": scenes.make_ade(folder / "ade")}
