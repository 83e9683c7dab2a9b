"""Templates and style sheets as files: found by pages of other packages, escaped, and of one set of colours with the charts."""

import re
import tomllib
from pathlib import Path

import jinja2
import pytest

from search.report import theme
from search.report.html import render_html

TEMPLATES = Path(theme.__file__).parent / "templates"


def test_charts_are_drawn_in_the_light_colours_of_the_style_sheet() -> None:
    light = (TEMPLATES / "theme.css").read_text(encoding="utf-8").partition("@media")[0]
    declared = {f"var(--{name})": colour for name, colour in re.findall(r"--(\w+): (#\w+)", light)}
    assert {variable: declared[variable] for variable in theme.VARIABLES.values()} == {
        variable: colour for colour, variable in theme.VARIABLES.items()
    }


def test_what_is_put_into_a_page_is_escaped_and_a_missing_name_is_an_error() -> None:
    context = {"name": "<run>", "title": "a & b", "lead": ""}
    page = render_html("base.html.j2", context)
    assert "<title>&lt;run&gt; · UniNAS" in page
    assert "<h1>a &amp; b</h1>" in page
    assert "--ink: #1c2128" in page
    with pytest.raises(jinja2.UndefinedError, match="'lead' is undefined"):
        render_html("base.html.j2", {"name": "run", "title": "run"})


def test_every_template_and_style_sheet_is_package_data() -> None:
    """A file that no pattern of pyproject names would be missing from an installed package."""
    root = TEMPLATES.parents[2]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    named = {
        path
        for package, patterns in settings.items()
        for one in patterns
        for path in (root / package.replace(".", "/")).glob(one)
    }
    there = {path for path in (root / "search").rglob("*") if path.suffix in (".j2", ".css")}
    assert there
    assert there <= named
