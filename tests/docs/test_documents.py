"""What the documents say of the code is so: rooms, modules, commands, links; and the files that other programs read are valid."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from uninas.cli import COMMANDS
from uninas.runtime.moved import MOVED

ROOT = Path(__file__).parents[2]
PACKAGES = ("uninas", "proxies", "search", "downstream")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CURRENT = [path for path in DOCUMENTS if path.name not in ("CHANGELOG.md", "deprecation.md")]  # these two name old modules
NO_MODULES = {"proxies.file", "proxies.options", "uninas.proxies", "uninas.algorithms"}  # keys, and groups of entry points
TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "uninas",
    "proxies",
    "search",
    "downstream",
    "configs",
    "tests",
    "LICENSE",
    "Makefile",
    "docs",
    "benchmarks",
    ".ci",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "SECURITY.md",
}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


# --- rooms ------------------------------------------------------------------------------------------------------------------


def rooms() -> dict[str, str]:
    """Each room of the tables in docs/architecture.md, and what it is for."""
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| `((?:uninas|proxies|search|downstream)/[\w/]+)` \| (.+?) \| ", text, re.MULTILINE))


def test_every_folder_of_the_packages_is_a_room_with_a_sentence() -> None:
    folders = {named(path.parent) for package in PACKAGES for path in (ROOT / package).glob("*/**/__init__.py")}
    assert set(rooms()) == folders


def test_rooms_stand_in_the_order_of_the_import_contracts() -> None:
    """A room that may import another stands above it."""
    order = list(rooms())
    for contract in project()["tool"]["importlinter"]["contracts"]:
        for container in contract.get("containers", []):
            layers = [re.split(r" [|:] ", layer) for layer in contract["layers"]]
            paths = [[f"{container.replace('.', '/')}/{room}" for room in layer] for layer in layers]
            places = [[order.index(path) for path in layer if path in order] for layer in paths]
            found = [layer for layer in places if layer]
            for upper, lower in pairwise(found):
                assert max(upper) < min(lower), (container, [order[place] for place in (*upper, *lower)])


def test_contributing_has_the_same_rooms() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^- `([\w/]+)/`: (.+)\.$", text, re.MULTILINE)) == rooms()


# --- what documents name ----------------------------------------------------------------------------------------------------


@cache
def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one that is importable here."""
    words = name.split(".")
    if any((ROOT / "/".join(words)).with_suffix(suffix).exists() for suffix in (".py", "")):
        return True
    for end in range(len(words) - 1, 0, -1):
        try:
            found: Any = importlib.import_module(".".join(words[:end]))
        except ModuleNotFoundError:
            continue
        for word in words[end:]:
            if not hasattr(found, word):
                return False
            found = getattr(found, word)
        return True
    return False


def mentioned(text: str) -> set[str]:
    """Dotted names that begin with one of the packages; names of files and keys are none."""
    found = re.findall(rf"(?<![\w./-])(?:{'|'.join(PACKAGES)})(?:\.[A-Za-z_]\w*)+(?![\w/-])", text)
    return {name for name in found if not name.endswith((".yaml", ".py", ".md", ".svg", ".json", ".toml"))} - NO_MODULES


@pytest.mark.parametrize("path", CURRENT, ids=named)
def test_every_module_and_name_in_a_document_exists(path: Path) -> None:
    assert {name for name in mentioned(path.read_text(encoding="utf-8")) if not exists(name)} == set()


@pytest.mark.parametrize("path", CURRENT, ids=named)
def test_every_file_in_a_document_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    folders = "|".join([*PACKAGES, "configs", "tests", "docs", "benchmarks"])
    found = set(re.findall(rf"(?<![\w./(-])(?:{folders})/[\w./-]+\.(?:py|yaml|md|json)\b", text))
    assert {name for name in found if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_of_a_document_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    here = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in here if not (path.parent / link).exists()] == []


def test_the_readme_shows_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"uninas {name}" not in text] == []


def test_every_moved_module_is_listed_as_deprecated() -> None:
    text = (ROOT / "docs/deprecation.md").read_text(encoding="utf-8")
    listed = {old: re.findall(r"`([\w.]+)`", new) for old, new in re.findall(r"^\| `([\w.]+)` \| (.+) \|$", text, re.MULTILINE)}
    assert listed == {old: list(new) for old, new in MOVED.items()}


def test_the_top_level_is_what_it_is_meant_to_be() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} - TOP_LEVEL == set()


# --- files that other programs read -----------------------------------------------------------------------------------------


def test_the_citation_is_valid() -> None:
    """By the rules of the Citation File Format 1.2.0 for the keys that are used."""
    cited = read_yaml("CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert cited["type"] == "software"
    assert cited["version"] == project()["project"]["version"]
    assert cited["license"] == project()["project"]["license"]
    for entry in (cited, *cited["references"]):
        assert entry["title"]
        assert entry["authors"]
        for author in entry["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})
    for entry in cited["references"]:
        assert entry["type"] in ("article", "conference-paper")
        assert 2020 < entry["year"] < 2030
        assert entry.get("url", "https://").startswith("https://")
        assert entry.keys() <= {
            "type",
            "title",
            "authors",
            "year",
            "url",
            "notes",
            "collection-title",
            "collection-type",
            "conference",
        }
    titles = " ".join(entry["title"] for entry in cited["references"])
    for words in ("Universal Neural Architecture Space", "Variance of Knowledge", "AZ-NAS", "Zero-Cost Proxies"):
        assert words in titles


def test_the_workflow_runs_what_is_supported() -> None:
    (job,) = read_yaml(".github/workflows/test.yml")["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    versions = job["strategy"]["matrix"]["python"]
    stated = [line.rpartition(" ")[2] for line in project()["project"]["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert versions == stated
    low, high = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project()["project"]["requires-python"]).groups()  # type: ignore[union-attr]
    assert versions == [f"3.{minor}" for minor in range(int(low), int(high))]


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem)
def test_issue_forms_are_forms(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        assert form == {"blank_issues_enabled": True}
        return
    assert form.keys() == {"name", "description", "labels", "body"}
    fields = [entry["id"] for entry in form["body"]]
    assert len(set(fields)) == len(fields)
    assert {entry["type"] for entry in form["body"]} <= {"textarea", "input", "dropdown"}
    assert all(entry["attributes"]["label"] for entry in form["body"])


def test_the_hooks_are_the_linters_of_the_environment() -> None:
    """Nothing is downloaded, and none of `make lint` is missing."""
    (source,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert source["repo"] == "local"
    assert {hook["language"] for hook in source["hooks"]} == {"system"}
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    wanted = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.group(1).splitlines()]
    assert [hook["entry"].replace(" --force-exclude", "") for hook in source["hooks"]] == wanted
