"""The page of a run: what held, what did not and why; the aims beside what was measured.

Figures are only of a GPU. Of a run on a CPU the page says that the steps run there, and that none has been seen on a GPU yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.gpu.running import why
from benchmarks.gpu.steps import AIMS, STEPS, Step
from benchmarks.page import table

__all__ = ["page"]

Record = Mapping[str, Any]
Column = tuple[str, Callable[[Record], str]]
NONE = "-"
NOT_YET = "not measured yet"


def page(records: Sequence[Record]) -> str:
    """Write the page of a run, from the lines of its results, see `benchmarks.gpu.running`."""
    begin = next((one for one in records if one["kind"] == "begin"), {})
    real = str(begin.get("device", "")).startswith("cuda") and not begin.get("toy", True)
    by_step = {step.name: [one for one in records if one.get("step") == step.name] for step in STEPS}
    rows = {name: [one for one in some if one["kind"] == "row"] for name, some in by_step.items()}
    ends = {name: next((one for one in some if one["kind"] == "end"), None) for name, some in by_step.items()}
    minutes = begin.get("seconds", 0.0) / 60
    lines = ["# On a GPU", "", *_head(begin, rows["machine"], minutes, real=real), ""]
    lines += [_steps(rows, ends, real=real), "", *_aims(rows["candidate"] if real else []), ""]
    for name in SECTIONS if real else ():
        lines += _section(name, rows[name])
    lines += [*_faults(rows, ends), f"    {begin.get('command', '')}"]
    return "\n".join(lines)


def _head(begin: Record, machine: Sequence[Record], minutes: float, *, real: bool) -> list[str]:
    what = [
        "What only a GPU can show, and what is timed there. Each step runs in a process of its own and has its share of the",
        "time; one that fails ends no other.",
    ]
    if not real:
        return [
            "**Not run on a GPU yet.** The steps have run on a CPU at toy size, which shows that they run, and nothing of a GPU.",
            "On one GPU they take eight minutes at the most.",
            "",
            *what,
        ]
    about = {one["what"]: one for one in machine}
    device, libraries = about.get("device", {}), about.get("libraries", {})
    versions = ", ".join(f"{name} {libraries[name] or 'missing'}" for name in ("torch", "ray", "timm") if name in libraries)
    return [
        *what,
        "",
        f"On one {device.get('name', begin['device'])} ({_number(device.get('gibibytes'))} GiB, driver {device.get('driver')}), "
        f"{begin['processor']}, Python {begin['python']}, {versions}; {minutes:g} minutes at the most.",
    ]


def _steps(rows: Mapping[str, Sequence[Record]], ends: Mapping[str, Record | None], *, real: bool) -> str:
    head = ["step", "what holds where it succeeds", "on a GPU", "seconds" if real else "on a CPU, toy size"]
    lines = []
    for step in STEPS:
        verdict, end = _verdict(step, rows[step.name], ends[step.name]), ends[step.name]
        last = NONE if end is None else f"{end['seconds']:.0f}"
        lines.append([step.name, step.checks, verdict if real else NOT_YET, last if real else verdict])
    return table(head, lines)


def _verdict(step: Step, rows: Sequence[Record], end: Record | None) -> str:
    """Say whether it holds; where it was cut short, of how much that is known."""
    claims = [one["ok"] for one in rows if one["ok"] is not None]
    counted = f"{sum(claims)} of {len(claims)}" if claims else "nothing was claimed"
    if end is None:
        return "not run"
    status = end["status"]
    if status == "left out":
        return "left out: no time"
    if status != "done":
        return f"**{status}**; till then {counted}"
    return f"{'yes' if all(claims) else '**no**'}: {counted}" if claims else "done"


def _aims(rows: Sequence[Record]) -> list[str]:
    medians = {one["config"]: one for one in rows if "config" in one}
    lines = []
    for name, aim in AIMS.items():
        found = medians.get(name)
        measured = [NOT_YET, *[NONE] * 5]
        if found is not None:
            stages = [_number(found["stages"].get(stage)) for stage in ("ask", "build", "score", "rest")]
            measured = [_number(found["seconds"]), " to ".join(map(_number, found["spread"])), *stages]
        lines.append([f"`configs/search/{name}.yaml`", aim.others, f"{aim.seconds:g}", *measured])
    return [
        "## A candidate, seconds",
        "",
        "At 224 pixels, as the search scores it: the next candidate is asked for, built and scored. Median after the first. The",
        "rest is for the most part giving memory back.",
        "",
        table(["candidates of", "others", "aim", "measured", "from to", "asked for", "built", "scored", "rest"], lines),
    ]


def _number(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "**no**"}.get(value, NONE)
    return f"{value:.3g}" if isinstance(value, float) and (abs(value) < 1000 or abs(value) >= 1e6) else f"{value}"


def _of(key: str, scale: float = 1.0) -> Callable[[Record], str]:
    def found(row: Record) -> str:
        value = row.get(key)
        return _number(value * scale if isinstance(value, (int, float)) and not isinstance(value, bool) and scale != 1 else value)

    return found


def _each(key: str) -> Callable[[Record], str]:
    return lambda row: ", ".join(map(_number, row.get(key) or ())) or NONE


WHAT: Column = ("", lambda row: row["what"])
HELD: Column = ("holds", _of("ok"))
PARAMS: Column = ("params, M", lambda row: _number(row["cost"]["params"] / 1e6) if "cost" in row else NONE)
SECONDS: Column = ("seconds", _of("seconds"))
PEAK: Column = ("peak, GiB", _of("peak_bytes", 2**-30))
WHY: Column = ("why not", lambda row: _cell(row.get("reason") or row.get("error") or NONE))

SECTIONS: Mapping[str, tuple[str, tuple[Column, ...]]] = {
    "candidate": ("Candidates, one by one", (WHAT, PARAMS, SECONDS, PEAK, HELD, WHY)),
    "deadline": (
        "A candidate that hangs",
        (WHAT, SECONDS, HELD, ("the worker said", lambda row: _cell(row.get("reason") or NONE))),
    ),
    "memory": ("Memory", (WHAT, PEAK, SECONDS, HELD, WHY)),
    "actors": ("Actors", (WHAT, ("candidates/s", _of("rate")), ("of one, GiB", PEAK[1]), HELD, ("differs", _of("differs")), WHY)),
    "training": (
        "Training",
        (
            WHAT,
            ("losses", _each("losses")),
            ("images/s", _of("rate")),
            ("ours", _of("ours")),
            ("timm", _of("timm")),
            ("ratio", _of("ratio")),
            HELD,
            WHY,
        ),
    ),
    "latency": (
        "Latency, ms",
        (
            WHAT,
            ("median", _of("milliseconds")),
            ("quartiles", _each("quartiles")),
            ("two differ by", _of("medians_differ")),
            HELD,
        ),
    ),
    "machine": ("Ceilings", (WHAT, ("Tflop/s", _of("tflops")), ("TB/s", _of("terabytes_per_second")))),
    "scores": (
        "Largest relative differences from the CPU",
        (
            ("proxy", _of("proxy")),
            ("float64", _of("float64")),
            ("float32", _of("float32")),
            ("float32 from float64 on the CPU", _of("cpu_rounding")),
            HELD,
        ),
    ),
    "determinism": ("Determinism", (WHAT, HELD, ("proxies that differ", lambda row: ", ".join(row.get("differ") or ()) or NONE))),
    "profile": ("Where the time goes", (("", _of("name")), SECONDS, ("calls", _of("calls")))),
}


def _section(name: str, rows: Sequence[Record]) -> list[str]:
    title, columns = SECTIONS[name]
    rows = {"scores": _by_proxy, "profile": _largest, "machine": _timed}.get(name, list)(rows)
    if not rows:
        return []
    return [f"## {title}", "", table([head for head, _ in columns], [[show(row) for _, show in columns] for row in rows]), ""]


def _by_proxy(rows: Sequence[Record]) -> list[Record]:
    """Give for each proxy the largest differences over the networks; infinity, which is written as a word, is larger than any."""
    found: dict[str, dict[str, Any]] = {}
    for row in (one for one in rows if "proxy" in one):
        before = found.setdefault(row["proxy"], {"proxy": row["proxy"], "ok": True})
        before["ok"] &= row["ok"]
        for key in ("float64", "float32", "cpu_rounding"):
            before[key] = max(before.get(key, 0.0), row[key], key=float)
    return list(found.values())


def _largest(rows: Sequence[Record]) -> list[Record]:
    found: list[Record] = []
    for row in (one for one in rows if "largest" in one):
        busy = f", busy for {100 * row['busy']:.0f}% of the time" if "busy" in row else ""
        found.append({**row, "name": f"**{row['what']}**{busy}"})
        found += [{**one, "name": f"`{_cell(one['name'])}`"} for one in row["largest"]]
    return found


def _timed(rows: Sequence[Record]) -> list[Record]:
    return [row for row in rows if "tflops" in row or "terabytes_per_second" in row]


def _faults(rows: Mapping[str, Sequence[Record]], ends: Mapping[str, Record | None]) -> list[str]:
    """Give the last words of what did not end well; the whole of them is in the results file."""
    found = []
    for step in STEPS:
        end = ends[step.name]
        if end is not None and end["status"] in ("error", "out of time"):
            found.append(f"- {step.name}, {end['status']}: {_cell(why(end['said']))}")
        found += [f"- {step.name}, {one['what']}: {_cell(one['error'])}" for one in rows[step.name] if "error" in one]
    return ["## What went wrong", "", *found, ""] if found else []


def _cell(text: str) -> str:
    """Make a text one line, of bounded length, without the table's own sign."""
    return " ".join(str(text).split()).replace("|", "/")[:200]
