"""The HTML page of a bench, as a Jinja template. Everything but charts is escaped where it is put in."""

from __future__ import annotations

STYLE = """
table.metrics { width: 100%; }
td.metric { padding: 6px 0 5px 28px; text-align: left; }
td.metric > div { width: 250px; } td.metric b { font-weight: 620; } td.metric .ci { color: var(--soft); font-size: 12.5px; }
td.metric .paper { float: right; font-size: 12.5px; color: var(--amber); white-space: nowrap; }
td.metric svg { display: block; width: 100%; height: 13px; margin-top: 3px; overflow: visible; }
.metrics th { text-align: left; padding-left: 28px; } .metrics th:first-child { padding-left: 0; }
.metrics tbody th { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 13px;
  white-space: nowrap; font-weight: 440; color: var(--ink); }
tr.kind th { color: var(--soft); padding-top: 18px; font: 600 13px ui-sans-serif, system-ui, sans-serif; }
.key { display: flex; flex-wrap: wrap; gap: 4px 26px; font-size: 13px; color: var(--soft); margin: 8px 0; }
.key svg { width: 54px; height: 13px; vertical-align: -2px; margin-right: 8px; overflow: visible; }
.heat { font-size: 11.5px; } .heat td, .heat th { padding: 4px 5px; text-align: center; border: 0; min-width: 36px; }
.heat th:first-child { text-align: right; padding-right: 10px; } .heat tbody th { white-space: nowrap; }
.heat thead th { vertical-align: bottom; height: 128px; }
.heat thead span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
.heat th { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; color: var(--ink);
  font-weight: 400; }
.times td.bar { width: 240px; } .times .track { height: 9px; } .times .track i { display: block; height: 9px; border-radius: 2px;
  background: var(--blue); min-width: 1px; }
td.reasons { text-align: left; max-width: 420px; overflow-wrap: anywhere; }
.miss { color: var(--soft); font-style: italic; }
details > summary { cursor: pointer; color: var(--blue); margin: 8px 0; }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }} · UniNAS bench</title>
<style>{{ style }}</style>
</head>
<body>
<main>
{% macro metric_table(groups, first) %}
<div class="wide"><table class="metrics">
<thead><tr><th>{{ first }}</th>{% for title in metric_names %}<th scope="col">{{ title }}</th>{% endfor %}</tr></thead>
<tbody>
{% for group in groups %}
{% if group.title %}<tr class="kind"><th colspan="4" scope="rowgroup">{{ group.title }}</th></tr>{% endif %}
{% for row in group.rows %}
<tr><th scope="row">{{ row.name }}</th>
{% for cell in row.cells %}
<td class="metric"><div>{% if cell.value %}<b>{{ cell.value }}</b> <span class="ci">{{ cell.interval }}</span>
{%- else %}<span class="miss">not measured</span>{% endif %}
{%- if cell.paper %}<span class="paper" title="{{ cell.source }}">
◆ {{ cell.paper }}{% if cell.place %} {{ cell.place }}{% endif %}
</span>{% endif %}
{{ cell.drawing }}</div></td>
{% endfor %}</tr>
{% endfor %}{% endfor %}
</tbody></table></div>
{% endmacro %}

{% macro heat(columns, rows) %}
<div class="wide"><table class="heat">
<thead><tr><th></th>{% for title in columns %}<th scope="col"><span>{{ title }}</span></th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr><th scope="row">{{ row.name }}</th>
{% for cell in row.cells %}
<td style="{{ cell.style }}"{% if cell.title %} title="{{ cell.title }}"{% endif %}>{{ cell.text }}</td>
{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}

<header>
<p class="eyebrow">UniNAS-on-Ray · how proxies rank networks of known accuracy</p>
<h1>{{ title }}</h1>
<p class="soft">{{ lead }}</p>
<nav aria-label="Sections"><a href="#table">Table</a>
{%- if families %}<a href="#families">Families</a>{% endif -%}

{%- if whole or charts.scatter or families %}<a href="#scatter">Scatter plots</a>{% endif -%}
{%- if whole or partial %}<a href="#partial">Proxy against proxy</a>{% endif -%}
{%- if whole or agreement %}<a href="#agreement">Agreement</a>{% endif -%}
{%- if whole or times %}<a href="#time">Time and failures</a>{% endif -%}
{%- if whole %}<a href="#toy">Toy example</a>{% endif -%}
<a href="#settings">Settings</a></nav>
</header>

{% if cards %}<div class="cards">
{% for card in cards %}
<div class="card"><div class="name">{{ card.name }}</div><div class="value">{{ card.value }}</div>
<div class="under">{{ card.under }}</div></div>
{% endfor %}
</div>{% endif %}

<section id="table">
<h2>{{ table_title }}</h2>
<p>{{ summary }}</p>
<div class="key"><span>{{ key.ours }}value, with its 95 % interval</span>
{% if key.paper %}<span>{{ key.paper }}the paper’s figure; inside: our interval holds
it; above, below: our interval lies there</span>{% endif %}
<span>{{ key.axis }}</span></div>
{% if groups %}{{ metric_table(groups, first_column) }}{% else %}
<p class="miss">not measured: the run has no row yet</p>{% endif %}
{% for line in table_notes %}<p class="note">{{ line }}</p>{% endfor %}
</section>

{% if families %}
<section id="families">
<h2>Kendall’s τ within each family</h2>
<p>Networks of one family were trained by one recipe, so that accuracy differs by architecture alone. Intervals are in the
tables below and under the pointer.</p>
{{ heat(families.columns, families.rows) }}
{% for one in families.tables %}
<details><summary>{{ one.title }}</summary>{{ metric_table(one.groups, "proxy") }}</details>
{% endfor %}
</section>
{% endif %}

{% if whole or charts.scatter or families %}
<section id="scatter">
<h2>Score against accuracy</h2>
{% if charts.scatter %}
<figure class="chart">{{ charts.scatter }}
<figcaption>A dot is a network{% if not families %}; the lighter the green, the more of them lie there{% endif %}. The axis is
the raw score, on a logarithmic scale or as rank (marked so) where a few scores would press the others
together. τ as in the table.
</figcaption></figure>
{% else %}<p class="miss">not measured: the run has no scores.csv with scores in it</p>{% endif %}
</section>
{% endif %}

{% if whole or partial %}
<section id="partial">
<h2>Proxy against proxy</h2>
<p>Partial correlation by Kendall’s τ with the accuracy taken out (T-CET, equation 1 and Figure 1): how much two proxies
say the same beyond what both know of the accuracy. Neighbours are alike.</p>
{% if partial %}{{ heat(partial.columns, partial.rows) }}{% else %}<p class="miss">not measured</p>{% endif %}
{% if whole or kept %}
<h3>What a combination keeps of its parts</h3>
<p>T-CET’s Table 1: partial correlation of a combination A with its parts, the saliency X and the activations Y = lnwot. Averaging
ranks keeps both alike by construction; the layer-wise product leans to X.</p>
{% if kept %}<table><thead><tr><th>A</th><th scope="col" class="text">X</th><th scope="col">with X</th><th scope="col">paper</th>
<th scope="col">with Y</th><th scope="col">paper</th></tr></thead>
<tbody>{% for row in kept %}<tr>{% for cell in row %}
<td{% if loop.index == 2 %} class="text mono"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
{% if kept_note %}<p class="note">{{ kept_note }}</p>{% endif %}
{% else %}
<p class="miss">not measured: it needs the scores lnwot, ssnr_synflow, ssnr_snip, t_cet_synflow and t_cet_snip</p>{% endif %}
{% endif %}
</section>
{% endif %}

{% if whole or agreement %}
<section id="agreement">
<h2>Agreement with published scores</h2>
{% if agreement %}<p>Spearman correlation of our scores with published ones on the same networks. No other figure on this page
uses them.</p>
<table><thead><tr><th>proxy</th><th scope="col" class="text">published as</th><th scope="col">Spearman’s ρ</th>
<th scope="col">networks</th></tr></thead>
<tbody>{% for row in agreement %}<tr><td class="mono">{{ row[0] }}</td><td class="text mono">{{ row[1] }}</td>
<td>{{ row[2] }}</td><td>{{ row[3] }}</td></tr>
{% endfor %}</tbody></table>
{% else %}<p class="miss">not measured: no published scores were given</p>{% endif %}
</section>
{% endif %}

{% if whole or times %}
<section id="time">
<h2>Time and failures</h2>
{% if times %}
<p>Mean CPU-seconds of one network. What several proxies share is computed once and counted with the first of them.</p>
<div class="wide"><table class="times"><thead><tr><th>proxy</th><th scope="col">seconds</th><td></td>
{% if weighed %}<th scope="col">alone</th><th scope="col">peak memory</th>{% endif %}
<th scope="col">networks</th><th scope="col">p</th>
<th scope="col" class="text">failed</th></tr></thead>
<tbody>{% for row in times %}<tr><td class="mono">{{ row.name }}</td><td>{{ row.seconds }}</td>
<td class="bar">{% if row.share is not none %}<div class="track"><i style="width:{{ row.share }}%"></i></div>{% endif %}</td>
{% if weighed %}<td>{{ row.alone }}</td><td>{{ row.memory }}</td>{% endif %}<td>{{ row.networks }}</td><td>{{ row.p_value }}</td>
<td class="reasons">{{ row.failed }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="note">p: the share of random orders of the networks whose Kendall’s τ is at least as high. A dash: not measured.
{%- if not weighed %} Alone, and peak memory: not measured (<code>uninas bench costs RUN</code>).{% endif %}</p>
{% if costs %}<p>{{ costs }}</p>{% endif %}
{% else %}<p class="miss">not measured</p>{% endif %}
</section>
{% endif %}

{% if whole %}
<section id="toy">
<h2>Why three metrics: a toy example</h2>
<p>Ten networks with accuracies 100, 90, …, 10 and two rankings of them (VKDNW paper, Fig. 2). <span
class="mono">damaged_top</span> errs among
the best, <span class="mono">perfect_top</span> among the worst only. Both correlations prefer the
first; nDCG, which asks whether the best stand
first, prefers the second.</p>
<figure class="chart">{{ charts.toy }}</figure>
<table><thead><tr><th>ranking</th>{% for title in metric_names %}
<th scope="col">{{ title }}</th><th scope="col">p</th>{% endfor %}</tr></thead>
<tbody>{% for row in toy %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
<p class="note">nDCG at P = 5. p: the share of {{ permutations }} random rankings that do at least as well.</p>
</section>
{% endif %}

<section id="settings">
<h2>Settings</h2>
{% if settings %}<dl>{% for key, value in settings %}<dt>{{ key }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl>{% else %}<p class="miss">the run states none</p>{% endif %}
<h3>Environment</h3>
{% if environment %}<dl>{% for key, value in environment %}<dt>{{ key }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl>{% else %}<p class="miss">the run states none</p>{% endif %}
{% for paper, text in papers %}<p class="note">{{ paper }} measured: {{ text }}.</p>{% endfor %}
</section>

<footer>Made by <span class="mono">uninas bench</span> from the files of the run folder alone.</footer>
</main>
</body>
</html>
"""
