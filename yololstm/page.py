"""What a data set holds and what is wrong with it, as one HTML file that needs nothing else.

No scripts, and nothing is fetched. Whatever comes from the data set is escaped by the template. The
same values give the same bytes.
"""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

import jinja2
import numpy as np
from markupsafe import Markup

from yololstm.census import Census, Example, View
from yololstm.errors import Problem

_BINS: Final = 32
_CHART: Final = (128, 24)
"""Width and height, pixels."""
_ALONE: Final = 2
"""Problems with the same remedy are shown as one group from more than so many on."""


@dataclass(frozen=True)
class Picture:
    """An example as it is shown. missing: why there is no JPEG; empty where there is one, and
    where the data set has no video at all."""

    example: Example
    jpeg: bytes = b""
    missing: str = ""


@dataclass(frozen=True)
class Findings:
    """faults, unmapped: what was left out; doubts: what was kept, but should be looked at;
    unreadable: what was not opened, so that what it holds is missing."""

    faults: Sequence[Problem]
    unmapped: Sequence[Problem]
    doubts: Sequence[Problem]
    unreadable: Sequence[Problem] = ()


def render(
    title: str,
    census: Census,
    findings: Findings,
    pictures: Sequence[Picture],
    instead: str = "",
) -> str:
    """title: what the data set is called; instead: why no picture is shown, where none is."""
    return _ENVIRONMENT.from_string(_TEMPLATE).render(
        title=title,
        instead=instead,
        census=census,
        headlines=_headlines(census, findings),
        rows=_view_rows(census.views),
        lengths=_lengths(census),
        groups={
            "Stores": census.stores,
            "Cameras": census.cameras,
            "Actors": census.actors,
        },
        examples={
            label: list(group) for label, group in groupby(pictures, lambda p: p.example.label)
        },
        sections=[
            (name, fate, kind, _by_remedy(problems))
            for name, fate, kind, problems in (
                ("Not opened", "missing with all they hold", "unreadable", findings.unreadable),
                ("Faults", "left out", "fault", findings.faults),
                ("Without a label", "left out", "unmapped", findings.unmapped),
                ("To be looked at", "kept", "doubt", findings.doubts),
            )
        ],
    )


def _headlines(census: Census, findings: Findings) -> list[tuple[str, str, str]]:
    """Number, what it counts, and its class."""
    whole = census.whole
    unreadable = [(f"{len(findings.unreadable):,}", "not opened at all", "unreadable")]
    return [
        (f"{whole.clips:,}", _noun(whole.clips, "clip"), ""),
        (f"{whole.takes:,}", _noun(whole.takes, "take"), ""),
        (_duration(whole.hours), "of video", ""),
        *(unreadable if findings.unreadable else []),
        (f"{len(findings.faults):,}", "left out for faults", "fault" if findings.faults else ""),
        (
            f"{len(findings.unmapped):,}",
            "left out without a label",
            "unmapped" if findings.unmapped else "",
        ),
        (f"{len(findings.doubts):,}", "to be looked at", "doubt" if findings.doubts else ""),
    ]


def _noun(n: int, noun: str) -> str:
    return noun if n == 1 else f"{noun}s"


def _duration(hours: float) -> str:
    return f"{hours:,.1f} h" if hours >= 2 else f"{60 * hours:.1f} min"


@dataclass(frozen=True)
class _ViewRow:
    """rowspan: of the store's name, which only the first of its rows shows; then it is 0."""

    rowspan: int
    view: View
    numbers: Mapping[str, int]


def _view_rows(views: Mapping[View, Mapping[str, int]]) -> list[_ViewRow]:
    rows = []
    for _, group in groupby(views.items(), lambda item: item[0].store):
        members = list(group)
        for i, (view, numbers) in enumerate(members):
            rows.append(_ViewRow(0 if i else len(members), view, numbers))
    return rows


# --- lengths ---


@dataclass(frozen=True)
class _Lengths:
    """Of all clips, or all spans, of one label."""

    n: int
    summary: str
    chart: Markup


def _lengths(census: Census) -> dict[str, tuple[_Lengths | None, _Lengths | None]]:
    """By label: the lengths of its clips and of its spans, each on one scale for all labels."""
    clips, spans = _charted(census.lengths), _charted(census.span_lengths)
    labels = [*census.labels, *(label for label in spans if label not in census.labels)]
    return {label: (clips.get(label), spans.get(label)) for label in labels}


def _charted(lengths: Mapping[str, Sequence[float]]) -> dict[str, _Lengths]:
    longest = max((max(values) for values in lengths.values()), default=0.0)
    return {
        label: _Lengths(len(values), _summary(values), _histogram(values, longest))
        for label, values in lengths.items()
    }


def _summary(values: Sequence[float]) -> str:
    shown = [f"{value:.1f}" for value in np.quantile(values, [0, 0.5, 1])]
    return f"{shown[0]} s" if len(set(shown)) == 1 else f"{shown[0]} – {shown[1]} – {shown[2]} s"


def _histogram(values: Sequence[float], longest: float) -> Markup:
    """From 0 to ``longest`` seconds; the highest bar is as high as the chart."""
    width, height = _CHART
    counts, _ = np.histogram(values, bins=_BINS, range=(0, longest or 1))
    step = width / _BINS
    bars = Markup("").join(
        Markup('<rect x="{}" y="{}" width="{}" height="{}"/>').format(
            f"{i * step:g}", height - high, f"{step - 1:g}", high
        )
        for i, n in enumerate(counts.tolist())
        if n and (high := max(2, round(height * n / counts.max())))
    )
    return Markup('<svg width="{0}" height="{1}" viewBox="0 0 {0} {1}" aria-hidden="true">').format(
        width, height
    ) + Markup('<path d="M0 {1}.5H{0}"/>{2}</svg>').format(width, height - 1, bars)


# --- problems ---


@dataclass(frozen=True)
class _Group:
    """Problems with one remedy; or, where remedy is empty, some with others."""

    remedy: str
    problems: list[Problem]

    @property
    def n(self) -> int:
        return len(self.problems)


def _by_remedy(problems: Iterable[Problem]) -> list[_Group]:
    """The largest group first; problems that stand nearly alone come last, together."""
    groups: dict[str, list[Problem]] = defaultdict(list)
    for problem in sorted(problems):
        groups[problem.remedy].append(problem)
    shared = [_Group(remedy, group) for remedy, group in groups.items() if len(group) > _ALONE]
    shared.sort(key=lambda group: (-group.n, group.remedy))
    alone = sorted(p for group in groups.values() if len(group) <= _ALONE for p in group)
    remedies = {problem.remedy for problem in alone}
    title = remedies.pop() if len(remedies) == 1 else ""
    return [*shared, *([_Group(title, alone)] if alone else [])]


# --- the template ---


def _jpeg_url(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode('ascii')}"


_STYLE: Final = """
:root { color-scheme: light dark;
  --paper: #f6f7f9; --card: #fff; --ink: #1b1f26; --faint: #5d6673; --line: #dfe3e8;
  --bar: #2f6fb0; --fault: #b3261e; --unmapped: #6b4fa3; --doubt: #8a5a00; --zero: #fdecc8 }
@media (prefers-color-scheme: dark) { :root {
  --paper: #14171c; --card: #1d2128; --ink: #e6e9ee; --faint: #9aa4b2; --line: #323842;
  --bar: #6fb1ef; --fault: #ff8a80; --unmapped: #c3a9f5; --doubt: #f5c451; --zero: #4a3a12 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, "Apple SD Gothic Neo", "Malgun Gothic",
  "Noto Sans KR", "Noto Sans CJK KR", sans-serif }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere }
h2 { margin: 2.5rem 0 .25rem; font-size: 1.15rem }
h3 { margin: 1.25rem 0 .5rem; font-size: 1rem }
p { margin: .25rem 0 .75rem; color: var(--faint); max-width: 48rem }
.headlines { display: grid; gap: .75rem; padding: 0; margin: 0; list-style: none;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)) }
.headlines li { padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem; color: var(--faint); line-height: 1.3 }
.headlines a { color: inherit }
.headlines strong { display: block; font-size: 1.5rem; font-weight: 600; color: var(--ink) }
.headlines .unreadable strong, .count.unreadable, .headlines .fault strong, .count.fault {
  color: var(--fault) }
.headlines .unmapped strong, .count.unmapped { color: var(--unmapped) }
.headlines .doubt strong, .count.doubt { color: var(--doubt) }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem }
table { border-collapse: collapse; width: 100% }
th, td { padding: .35rem .75rem; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line) }
tr:last-child > * { border-bottom: 0 }
thead th { color: var(--faint); font-weight: 500; white-space: nowrap }
tbody th { font-weight: 500 }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
.sum { font-weight: 600 }
.zero { background: var(--zero) }
svg { display: block; fill: var(--bar); stroke: none }
svg path { stroke: var(--line) }
.chart { white-space: nowrap }
small { color: var(--faint); font-size: .85rem }
.columns { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
.examples { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)) }
figure { margin: 0; overflow: hidden; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem }
figure img, .blank { display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: contain;
  background: #0c0e11 }
.blank { display: grid; place-items: center; padding: 1rem; color: #c9d0d9; text-align: center;
  overflow-wrap: anywhere }
figcaption { padding: .5rem .75rem .75rem; overflow-wrap: anywhere; line-height: 1.4 }
figcaption b { display: block; font-weight: 600 }
details { margin: .5rem 0; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem }
summary { padding: .5rem .75rem; cursor: pointer; overflow-wrap: anywhere }
details .scroll { border: 0; border-top: 1px solid var(--line); border-radius: 0 0 .5rem .5rem }
.count { font-weight: 600; font-variant-numeric: tabular-nums }
.place { overflow-wrap: anywhere; min-width: 12rem }
.told { overflow-wrap: anywhere; min-width: 14rem }
@media (max-width: 40rem) {
  th, td { padding: .3rem .5rem }
  .problems thead { display: none }
  .problems td { display: block; border: 0 }
  .place { font-weight: 600 }
  .problems tr { display: block; border-bottom: 1px solid var(--line) } }
"""

_TEMPLATE: Final = """\
{% macro number(n) %}{{ "{:,}".format(n) }}{% endmacro -%}
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}: data check</title>
<style>{{ style }}</style>
</head>
<body>
<h1>{{ title }}</h1>
<ul class="headlines">
{% for value, what, kind in headlines %}
<li{% if kind %} class="{{ kind }}"{% endif %}><strong>{{ value }}</strong>
{% if kind %}<a href="#{{ kind }}">{{ what }}</a>{% else %}{{ what }}{% endif %}</li>
{% endfor %}
</ul>

{% if rows %}
<h2>Clips by label, store and camera</h2>
<p>Where a label was never filmed is marked: a model may take the place for the label.</p>
<div class="scroll"><table>
<thead><tr><th>Store</th><th>Camera</th>
{% for label in census.labels %}<th class="number">{{ label }}</th>{% endfor %}
<th class="number">all</th></tr></thead>
<tbody>
{% for row in rows %}
<tr>{% if row.rowspan %}<th rowspan="{{ row.rowspan }}">{{ row.view.store }}</th>{% endif %}
<th>{{ row.view.camera }}</th>
{% for label in census.labels %}
{% set n = row.numbers.get(label, 0) %}
<td class="number{{ '' if n else ' zero' }}">{{ number(n) }}</td>
{% endfor %}
<td class="number sum">{{ number(row.numbers.values() | sum) }}</td></tr>
{% endfor %}
<tr class="sum"><th colspan="2">all</th>
{% for tally in census.labels.values() %}
<td class="number{{ '' if tally.clips else ' zero' }}">{{ number(tally.clips) }}</td>
{% endfor %}
<td class="number">{{ number(census.whole.clips) }}</td></tr>
</tbody></table></div>

<h2>Lengths</h2>
<p>Shortest, median and longest. All charts of a column begin at 0 and end at the longest.</p>
<div class="scroll"><table>
<thead><tr><th>Label</th><th class="number">Takes</th><th class="number">Video</th>
<th class="number">Clips</th><th>Length of clips</th>
<th class="number">Spans</th><th>Length of spans</th></tr></thead>
<tbody>
{% for label, kinds in lengths.items() %}
{% set tally = census.labels.get(label) %}
<tr><th>{{ label }}</th>
<td class="number">{{ number(tally.takes if tally else 0) }}</td>
<td class="number">{{ duration(tally.hours if tally else 0) }}</td>
{% for lengths in kinds %}
<td class="number">{{ number(lengths.n if lengths else 0) }}</td>
<td class="chart">
{% if lengths %}{{ lengths.chart }}<small>{{ lengths.summary }}</small>{% endif %}
</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>

<h2>Stores, cameras, actors</h2>
<div class="columns">
{% for title, tallies in groups.items() %}
<details{{ ' open' if tallies | length <= 12 else '' }}>
<summary>{{ title }} <span class="count">{{ number(tallies | length) }}</span></summary>
<div class="scroll"><table>
<thead><tr><th></th><th class="number">Clips</th><th class="number">Takes</th>
<th class="number">Video</th></tr></thead>
<tbody>
{% for name, tally in tallies.items() %}
<tr><th>{{ name }}</th><td class="number">{{ number(tally.clips) }}</td>
<td class="number">{{ number(tally.takes) }}</td>
<td class="number">{{ duration(tally.hours) }}</td></tr>
{% endfor %}
</tbody></table></div>
</details>
{% endfor %}
</div>
{% endif %}

{% if examples %}
<h2>Examples</h2>
<p>{{ instead or "The frame at which the span begins, with the box of who does it, where the data\
 set has one." }}</p>
{% for label, pictures in examples.items() %}
<h3>{{ label }}</h3>
<div class="examples">
{% for picture in pictures %}
{% set clip = picture.example.clip %}
{% set span = picture.example.span %}
<figure>
{% if picture.jpeg %}
<img alt="{{ label }} at {{ '%.2f' % picture.example.time_s }} s"
  src="{{ jpeg_url(picture.jpeg) }}">
{% elif picture.missing %}
<div class="blank">no picture: {{ picture.missing }}</div>
{% endif %}
<figcaption><b>{{ clip.clip_id }}</b>
<small>take {{ clip.take }}<br>
{% if clip.store %}store {{ clip.store }}{{ "," if clip.camera }} {% endif %}
{% if clip.camera %}camera {{ clip.camera }}{% endif %}
{% if clip.store or clip.camera %}<br>{% endif %}
{% if span %}{{ "%.2f to %.2f" % (span.start_s, span.end_s) }} s of {% endif %}
{{ "%.2f" % clip.duration_s }} s</small></figcaption>
</figure>
{% endfor %}
</div>
{% endfor %}
{% endif %}

{% for title, fate, kind, groups in sections if groups %}
<h2 id="{{ kind }}">{{ title }}</h2>
<p>{{ number(groups | sum(attribute="n")) }} {{ fate }}, by what is to be done about them.</p>
{% for group in groups %}
<details{{ ' open' if loop.first and group.n <= 20 else '' }}>
<summary><span class="count {{ kind }}">{{ number(group.n) }}</span>
{{ group.remedy or "See beside each what to do" }}</summary>
<div class="scroll"><table class="problems">
<thead><tr><th>Where</th><th>What</th>{% if not group.remedy %}<th>What to do</th>{% endif %}</tr>
</thead><tbody>
{% for problem in group.problems %}
<tr><td class="place">{{ problem.place }}</td><td class="told">{{ problem.problem }}</td>
{%- if not group.remedy %}<td class="told">{{ problem.remedy }}</td>{% endif %}</tr>
{% endfor %}
</tbody></table></div>
</details>
{% endfor %}
{% else %}
<h2>Nothing wrong was found</h2>
{% endfor %}
</body>
</html>
"""

_ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.globals.update(style=Markup(_STYLE), duration=_duration, jpeg_url=_jpeg_url)
