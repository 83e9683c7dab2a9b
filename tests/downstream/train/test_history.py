"""The table and the curves of a training, also where columns are still missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from downstream.train.history import read_history, write_history

PANELS = {"loss": ("train_loss", "val_loss"), "AP, %": ("box_ap", "mask_ap"), "learning rate": ("lr",)}


@pytest.mark.parametrize(
    "rows", [[{"epoch": 1.0, "lr": 0.1}], [{"epoch": 1.0, "train_loss": 2.0}, {"epoch": 2.0, "mask_ap": 1.0}]]
)
def test_columns_that_no_epoch_has_yet(rows: list[dict[str, float]], tmp_path: Path) -> None:
    """As of a detector that is evaluated every few epochs; a warning of matplotlib is an error here."""
    write_history(tmp_path, rows, PANELS)
    assert [{name: value for name, value in row.items() if value == value} for row in read_history(tmp_path)] == rows
    drawn = (tmp_path / "curves.svg").read_text()
    assert drawn.count("<!-- epoch -->") == 3
    assert ("<!-- mask ap -->" in drawn) == ("mask_ap" in rows[-1])
