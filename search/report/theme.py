"""Colours of the charts: the light ones of the style sheet, templates/theme.css.

In a page's SVG each is then replaced by the style sheet's variable, so that one chart serves light and dark mode.
"""

from __future__ import annotations

INK, SOFT, RULE, PAPER = "#1c2128", "#59616c", "#d8dbe0", "#ffffff"
BLUE, AMBER, TEAL, PURPLE = "#2a6cb0", "#b97f10", "#16805f", "#8548a0"

VARIABLES: dict[str, str] = {
    INK: "var(--ink)",
    SOFT: "var(--soft)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
    AMBER: "var(--amber)",
    TEAL: "var(--teal)",
    PURPLE: "var(--purple)",
}
"""What stands in a chart's SVG for each colour. Blue, amber, teal and purple stay apart for colour-blind readers."""

RANK_COLOURS = ["#5668a3", "#2f7f8e", "#36a885", "#8cc152"]
"""From the last rank to the first: one path through hue and lightness that shows on white and on black."""
