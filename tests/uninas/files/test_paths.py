"""Names that came from data: what they name stays below their folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from uninas.errors import InputError
from uninas.files.paths import below, new_file, open_file, own_folder, plain


@pytest.mark.parametrize("name", ["a", "a/b.json", "...", "a b", "übergrößer", "a..b", ".hidden", "x" * 255])
def test_names_that_are_fine(name: str, tmp_path: Path) -> None:
    assert plain(name)
    assert below(tmp_path, name) == tmp_path / name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "/a",
        "a/",
        "a//b",
        "a/../b",
        "../a",
        "a\\b",
        "a\0",
        "a\nb",
        "\x1b[31m",
        "\x85",
        "x" * 256,
        "\udce4" * 9,
    ],
)
def test_names_that_lead_elsewhere_or_are_none(name: str, tmp_path: Path) -> None:
    assert not plain(name)
    with pytest.raises(InputError, match="expected the name of a file below it; got"):
        below(tmp_path, name)


def test_links_on_the_way(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "folder").symlink_to(tmp_path / "real")
    (tmp_path / "nothing").symlink_to(tmp_path / "none")
    assert below(tmp_path / "folder", "a") == tmp_path / "folder" / "a"  # the user's own choice
    for name in ("folder", "folder/a", "folder/a/b", "nothing"):
        with pytest.raises(InputError, match="it is a link"):
            below(tmp_path, name)
        with pytest.raises(InputError, match="it is a link"):
            own_folder(tmp_path, name)
    assert own_folder(tmp_path, "real/deep/er").is_dir()


def test_a_new_file_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "file").symlink_to(tmp_path / "victim")
    new_file(tmp_path / "file")
    assert (tmp_path / "file").read_text() == ""
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "victim").read_text() == "mine"


def test_what_is_opened_to_be_changed_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    with open_file(tmp_path / "file") as file:
        assert file.read() == b"text"
        file.write(b"more")
    assert (tmp_path / "file").read_bytes() == b"textmore"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(InputError, match=f"{name}: expected a file"):
            open_file(tmp_path / name)
    with pytest.raises(OSError, match="Is a directory"):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")
