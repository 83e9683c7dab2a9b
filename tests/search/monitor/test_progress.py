"""What a log gets."""

import re
from io import StringIO

import pytest
from rich.console import Console

from search.monitor.progress import LiveView, PlainView, State, view_for


def log() -> Console:
    return Console(file=StringIO(), width=40)


def written(console: Console) -> list[str]:
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_a_log_gets_ten_seconds_of_patience_and_a_minute_after_an_hour() -> None:
    now = 0.0
    lines: list[tuple[float, str]] = []
    view = PlainView(lambda text: lines.append((now, text)), clock=lambda: now)
    state = State(phase="search", total=100_000)
    while now < 7200:
        state.done += 1
        view.update(state)
        now += 1.0
    times = [time for time, _ in lines]
    assert times[:4] == [0, 10, 20, 30]
    assert times[-1] - times[-2] == 60
    assert len(lines) < 260


def test_a_log_has_no_control_characters_and_no_wrapped_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    console = log()
    view = view_for(console)
    view.note("\x1b[36mray::_Scorer\x1b[39m died: [bold]brackets[/] stay " + "x" * 60)
    view.update(State(phase="search", done=3, total=10, best="vkdnw: 1", started=0.0))
    assert written(console)[0] == "ray::_Scorer died: [bold]brackets[/] stay " + "x" * 60
    assert len(written(console)) == 2
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", console.file.getvalue())  # type: ignore[attr-defined]


def test_the_log_of_a_submitted_job_says_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    console = log()
    view_for(console).note("joining Ray at 127.0.0.1:6379")
    (line,) = written(console)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ  joining Ray at 127\.0\.0\.1:6379", line)


def test_a_terminal_gets_a_panel() -> None:
    assert isinstance(view_for(Console(file=StringIO(), force_terminal=True)), LiveView)
