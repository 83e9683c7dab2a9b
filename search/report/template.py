"""The page, as a Jinja template. Everything but drawings and charts is escaped where it is put in."""

from __future__ import annotations

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ name }} · UniNAS search report</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<p class="eyebrow">UniNAS-on-Ray · architecture search report</p>
<h1>{{ name }}</h1>
<p class="soft">{{ lead }}</p>
<nav aria-label="Sections">
{%- if front %}<a href="#front">Front</a>{% endif -%}
{%- if best %}<a href="#network">Network</a><a href="#blocks">Blocks</a><a href="#cost">Cost</a>{% endif -%}
{%- if refined %}<a href="#refined">Trained</a>{% endif -%}
{%- if charts.scores %}<a href="#scores">Scores</a><a href="#population">Population</a>{% endif -%}
{%- if best %}<a href="#spectrum">Spectrum</a>{% endif -%}
<a href="#events">What happened</a><a href="#config">Configuration</a><a href="#provenance">Provenance</a>
</nav>
</header>

{% if missing %}
<div class="unfinished" role="status"><p><strong>This run is not finished:</strong> {{ missing }}.
What follows is what its journal says so far.</p></div>
{% endif %}

{% if best %}
<section id="headline">
<h2>{{ "The network" if chosen else "The best so far" }}
<span class="mono soft" title="{{ best.digest }}">{{ best.digest[:12] }}</span></h2>
<div class="cards">
{% for card in best.cards %}
<div class="card"><div class="name">{{ card.name }}</div><div class="value">{{ card.value }}</div>
{% if card.share is not none %}
<div class="meter" role="img" aria-label="{{ card.under }}"><i style="width:{{ card.share }}%"></i></div>
{% endif %}
<div class="under">{{ card.under }}</div></div>
{% endfor %}
</div>
{% if latency_note and not front %}<p class="note">{{ latency_note }}</p>{% endif %}
<p>{{ best.sentence }}</p>
<div class="wide"><table>
<thead><tr><th>scores</th>{% for name in best.scores.columns %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in best.scores.rows %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% if charts.finalists %}
<h3>Finalists on fresh seeds</h3>
<figure class="chart">{{ charts.finalists }}
<figcaption>Dot and bar: mean and one standard deviation over {{ seeds }} seed{{ "s" if seeds != 1 }} that the search had not
seen; ticks: each seed; ring: the score during the search. The best network stands on top.</figcaption></figure>
{% endif %}
</section>

{% if front %}
<section id="front">
<h2>The Pareto front: {{ front.size }} network{{ "s" if front.size != 1 }}</h2>
<p>What no other candidate of the search beats: none is at least as good in every objective and better in one. The objectives:
{{ front.objectives }}. {{ front.latency }}</p>
<figure class="chart">{{ front.chart }}
<figcaption>{{ front.height_note }} Line: the best of the search at or below a cost, looking at this cost alone; a member of the
front off the line is better in another objective. Rings: finalists, spread over the front.</figcaption></figure>
<div class="wide"><table class="dense">
<thead><tr><th scope="col">network</th><th scope="col"></th><th scope="col">candidate</th>
{% for column in front.table.columns %}<th scope="col">{{ column }}</th>{% endfor %}
{% if front.table.devices %}<th scope="col">device</th>{% endif %}<th scope="col">front/</th></tr></thead>
<tbody>{% for row in front.table.rows %}
<tr><td class="mono {{ "chosen" if row.role == "best" }}" title="{{ row.digest }}">{{ row.digest[:8] }}</td>
<td class="soft">{{ row.role }}</td><td>{{ row.index }}</td>
{% for cell in row.cells %}<td>{{ cell }}</td>{% endfor %}
{% if front.table.devices %}<td>{{ row.device }}</td>{% endif %}<td class="mono">{{ row.file }}</td></tr>
{% endfor %}</tbody></table></div>
<p class="note">Place: by the objective among all candidates of the search. Scores as the search saw them, on one seed.
{% if front.shown < front.size %}{{ front.shown }} of {{ front.size }} are shown, spread over the front; run.json lists
all.{% endif %}</p>
</section>
{% endif %}

<section id="network">
<h2>The network, from overview to block</h2>
<div class="drawing"><figure class="fit">{{ best.overview }}
<figcaption>Equal blocks have one letter; <a href="#blocks">their graphs</a> follow below the charts. The bars are shares of all
parameters and of all MACs.</figcaption></figure></div>
</section>

<section id="cost">
<h2>Cost next to the presets</h2>
<p class="note">At {{ size }} pixels, {{ classes }} classes, one image{{ scaled }}. One MAC is one multiply-add of a convolution,
linear layer or attention product; papers often print 2 × MACs as “FLOPs”. Live parameters are those that can receive a
gradient. <span class="over">▲</span> marks what is over this run’s budget.</p>
<div class="wide"><table>
<thead><tr><td></td>
{% for column in costs.columns %}<th scope="col" class="{{ "chosen" if loop.first }}">{{ column }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in costs.rows %}
<tr><th scope="row">{{ row.name }}</th>
{% for cell in row.cells %}
<td class="{{ "chosen" if loop.first }}">
{%- if cell.over %}<span class="over" title="over the budget">▲</span> {% endif %}{{ cell.text }}</td>
{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% for name, reason in costs.left_out %}<p class="note">Left out: {{ name }} ({{ reason }}).</p>{% endfor %}
</section>
{% else %}
<section><h2>No network yet</h2><p>No candidate has every score that the objective needs.</p></section>
{% endif %}

{{ refined }}

{% if charts.scores %}
<section id="scores">
<h2>Scores over time</h2>
<figure class="chart">{{ charts.scores }}
<figcaption>{{ score_note }} {{ baseline_note }}</figcaption></figure>
</section>

<section id="population">
<h2>The population in the plane of parameters and MACs</h2>
<figure class="chart">{{ charts.population }}
<figcaption>Every scored candidate, coloured by its place among all by the objective. Dashed lines: the budget. The start and
the best network are marked.</figcaption></figure>
</section>
{% endif %}

{% if best %}
<section id="spectrum">
<h2>Fisher spectrum next to the presets’</h2>
{% if charts.spectra %}
<figure class="chart">{{ charts.spectra }}
<figcaption>Eigenvalues of the Fisher information of one weight per layer, at {{ size }} pixels, {{ classes }} classes,
batch {{ images }}, seed {{ seed }}{{ scaled }}. VKDNW is the entropy of the deciles as shares of their sum, at most
ln 9 = 2.197: the more even the deciles, the higher. What lies below 10⁻¹⁶ of the largest eigenvalue is rounding and not
shown.</figcaption></figure>
{% else %}
<p>{{ spectra_note }}</p>
{% endif %}
{% for name, reason in spectra_left_out %}<p class="note">Left out: {{ name }} ({{ reason }}).</p>{% endfor %}
</section>

<section id="blocks">
<h2>The blocks, node by node</h2>
<div class="drawing"><figure>{{ best.blocks }}</figure></div>
</section>
{% endif %}

<section id="events">
<h2>What happened</h2>
<div class="columns">
<div><h3>Candidates</h3>
<table><thead><tr><th></th>{% for phase in phases %}<th scope="col">{{ phase.name }}</th>{% endfor %}</tr></thead>
<tbody>
{% for label, cells in events %}
<tr><th scope="row">{{ label }}</th>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
<div><h3>Time per candidate</h3>
{% if timing %}<table><thead><tr><th>seconds</th>
{% for label in ["median", "95 %", "longest", "sum"] %}<th scope="col">{{ label }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in timing %}<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>
<p class="note">{{ workers }}</p>{% else %}<p>No candidate has been scored.</p>{% endif %}</div>
</div>
<div class="columns">
<div><h3>Rejected before scoring</h3>
{% if rejected %}<table><thead><tr><th>reason</th>
{% for phase in phases %}<th scope="col">{{ phase.name }}</th>{% endfor %}</tr></thead>
<tbody>{% for reason, cells in rejected %}<tr><td>{{ reason }}</td>{% for cell in cells %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% else %}<p>None.</p>{% endif %}</div>
<div><h3>Failed while scored</h3>
{% if failed %}<table><thead><tr><th>reason</th><th scope="col">candidates</th></tr></thead>
<tbody>{% for reason, count in failed %}<tr><td>{{ reason }}</td><td>{{ count }}</td></tr>
{% endfor %}</tbody></table>{% else %}<p>None.</p>{% endif %}</div>
</div>
</section>

<section id="config">
<h2>Configuration</h2>
<pre>{{ config_text }}</pre>
<h3>Resume or extend</h3>
<p>{{ resume_note }}</p>
<pre>{% for line in commands %}{{ line }}
{% endfor %}</pre>
</section>

<section id="provenance">
<h2>Provenance</h2>
{% if provenance %}<dl>
{% for key, value in provenance %}<dt>{{ key }}</dt><dd>{{ value }}</dd>
{% endfor %}</dl>
{% else %}<p>The run folder holds no run.json.</p>{% endif %}
<p class="note">A score is a function of seed and network on one device model, torch build and precision. Scores of two seeds
agree only in part, which is why finalists are scored again on fresh ones.</p>
</section>

<footer>Made by <span class="mono">uninas report</span> from the files of the run folder alone.</footer>
</main>
</body>
</html>
"""
