"""Colours of the page and of its charts, in one place, and the page's style sheet.

Charts are drawn in the light colours; in the SVG each is then replaced by a CSS variable, so that one chart serves both modes.
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
"""From the last place to the first: one path through hue and lightness that shows on white and on black."""

STYLE = """
:root { color-scheme: light dark;
  --ink: #1c2128; --soft: #59616c; --rule: #d8dbe0; --paper: #ffffff; --panel: #fafaf8;
  --blue: #2a6cb0; --amber: #b97f10; --teal: #16805f; --purple: #8548a0; --warn: #fbf1dc; }
@media screen and (prefers-color-scheme: dark) { :root {
  --ink: #e6e8eb; --soft: #a3abb6; --rule: #333a43; --paper: #14171b; --panel: #191d22;
  --blue: #6fb1ea; --amber: #e3ae45; --teal: #55c6a4; --purple: #c593dc; --warn: #3a2f14; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%; }
main { max-width: 1128px; margin: 0 auto; padding: 40px 24px 72px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 4px; font-weight: 680; overflow-wrap: anywhere; }
h2 { font-size: 20px; letter-spacing: -.01em; margin: 56px 0 6px; padding-top: 18px; border-top: 1px solid var(--rule);
  font-weight: 650; }
h3 { font-size: 15px; margin: 24px 0 6px; font-weight: 650; }
p { margin: 6px 0 12px; max-width: 84ch; }
.eyebrow { color: var(--soft); font-size: 13px; margin: 0 0 6px; }
.soft, figcaption, .note { color: var(--soft); }
figcaption, .note { font-size: 13px; max-width: 96ch; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .89em; }
pre { background: var(--panel); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; overflow-x: auto;
  line-height: 1.45; }
.status { display: inline-block; border-radius: 999px; padding: 1px 11px; font-size: 13px; border: 1px solid var(--rule); }
.unfinished { background: var(--warn); border: 1px solid var(--amber); border-radius: 8px; padding: 10px 16px; margin: 16px 0; }
.unfinished p { margin: 0; }
nav { margin: 14px 0 0; font-size: 13px; } nav a { margin-right: 16px; white-space: nowrap; }
a { color: var(--blue); text-decoration: none; } a:hover { text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 20px 0 8px; }
.card { border: 1px solid var(--rule); border-radius: 10px; padding: 12px 16px 13px; background: var(--panel);
  break-inside: avoid; }
.card .name { font-size: 13px; color: var(--soft); }
.card .value { font-size: 25px; line-height: 1.25; font-weight: 640; letter-spacing: -.01em; }
.card .under { font-size: 12.5px; color: var(--soft); min-height: 1.4em; }
.meter { height: 6px; border-radius: 3px; background: var(--rule); margin: 7px 0 4px; overflow: hidden; }
.meter i { display: block; height: 100%; border-radius: 3px; background: var(--blue); }
table { border-collapse: collapse; margin: 10px 0 4px; font-size: 14px; }
.wide { overflow-x: auto; }
.dense { font-size: 13px; } .dense th, .dense td { padding: 3px 0 3px 15px; white-space: nowrap; }
.dense th:first-child, .dense td:first-child { padding-left: 0; }
th, td { text-align: right; padding: 5px 0 5px 26px; border-bottom: 1px solid var(--rule); vertical-align: baseline; }
th { font-weight: 560; color: var(--soft); } thead th { border-bottom-color: var(--soft); }
th:first-child, td:first-child { text-align: left; padding-left: 0; color: var(--ink); }
thead td { border-bottom-color: var(--soft); }
td.text, th.text { text-align: left; }
.chosen { font-weight: 640; color: var(--ink); } .over { color: var(--amber); white-space: nowrap; }
figure { margin: 14px 0 6px; } figure svg { display: block; max-width: 100%; height: auto; }
.fit svg { width: 100%; }
.drawing { overflow-x: auto; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 0 44px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 22px; margin: 10px 0; font-size: 14px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 56px; color: var(--soft); font-size: 13px; border-top: 1px solid var(--rule); padding-top: 14px; }
@media print { main { max-width: none; padding: 0; } nav { display: none; } figure, table, .card, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; } .drawing figure { break-inside: auto; } body { font-size: 12px; } }
"""
