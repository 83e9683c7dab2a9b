"""Render HTML pages: templates and style sheets lie as files in the folder `templates` beside the modules that fill them.

base.html.j2 and theme.css, which every page shares, are the report's. Whatever is put into a template is escaped, unless it is
`Markup`: drawings and charts.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup

SHARED = "search.report"


@functools.cache
def _environment(package: str) -> jinja2.Environment:
    loaders = [jinja2.PackageLoader(name) for name in dict.fromkeys((package, SHARED))]
    return jinja2.Environment(loader=jinja2.ChoiceLoader(loaders), autoescape=True, undefined=jinja2.StrictUndefined)


def render_html(template: str, context: Mapping[str, Any], *, package: str = SHARED) -> Markup:
    """Fill a template.

    Args:
        template: name of the file, such as "report.html.j2".
        context: what it shows; a name that it asks for and that is missing is an error.
        package: whose templates these are; those of `SHARED` are found as well.
    """
    return Markup(_environment(package).get_template(template).render(context))
