"""Text from files does nothing to a terminal: no escape sequence, no markup."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.journal.lines import sealed
from search.journal.records import Header
from search.monitor.screen import screen
from tests.search.report.report_runs import make_run
from uninas.cli import main, program
from uninas.runtime.terminal import console, printable

HOSTILE = "\x1b[31mred\x1b]0;title\x07\x9b2J\r\x08 [bold]bold[/nothing] :smile: \u202eback"
SPELLED = r"\x1b[31mred\x1b]0;title\x07\x9b2J\r\x08 [bold]bold[/nothing] :smile: \u202eback"

BY_RICH = SPELLED.replace(r"\x07", "").replace(r"\r\x08", "")  # these it leaves out by itself


def test_control_characters_are_spelled_out() -> None:
    assert printable(HOSTILE) == SPELLED
    assert printable("plain ä 東京 🙂\ttab\nline") == "plain ä 東京 🙂\ttab\nline"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_console_spells_out_whatever_it_prints(terminal: bool) -> None:
    """And keeps its own colours."""
    table = Table("column", HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE, "bold"))
    for thing in (HOSTILE, Text(HOSTILE, "bold"), table):
        stream = io.StringIO()
        screen = console(file=stream, force_terminal=terminal, width=400, color_system="truecolor" if terminal else None)
        screen.print(thing)
        with Live(thing, console=screen, auto_refresh=False):
            pass
        said = stream.getvalue()
        assert r"\x1b[31mred\x1b]0;title\x9b2J [bold]bold" in said  # a cell is cut to the width it would have had
        assert "\x1b[31m" not in said
        assert not {"\x07", "\x9b", "\x08", "\u202e"} & set(said)
        assert terminal or "\x1b" not in said


def test_an_error_message_is_spelled_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.json").write_text(json.dumps({"format": HOSTILE}))
    for name in (str(tmp_path / "net.json"), f"{tmp_path}/{HOSTILE}"):
        with pytest.raises(SystemExit):
            main(["cost", name])
        said = capsys.readouterr().err
        assert said.rstrip("\n").isprintable()


def test_a_run_of_somebody_elses_is_watched_as_it_is_spelled(tmp_path: Path) -> None:
    from search.monitor.follow import RunFollower

    make_run(tmp_path / "run", "evaluations=3", "baseline=false")
    path = tmp_path / "run" / "journal.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    changed: list[dict[str, Any]] = []
    for line in lines:
        del line["crc"]
        if line["kind"] == "candidate":
            line |= {"worker": HOSTILE, "status": "failed", "reason": HOSTILE, "scores": {HOSTILE: {"failed": HOSTILE}}}
            line["rejected"] = {HOSTILE: 3}
        changed.append(line)
    path.write_bytes(b"".join(map(sealed, changed)))
    about = {"seed": 0, "objective": changed[0]["objective"], "code": changed[0]["code"]}
    assert changed[0] == Header(changed[0]["config_digest"], about).as_dict()
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**info, "name": HOSTILE, "status": HOSTILE}))
    done = CliRunner().invoke(program, ["watch", str(tmp_path / "run"), "--once"], catch_exceptions=False)
    assert SPELLED in done.output
    assert done.output.replace("\n", "").isprintable()
    stream = io.StringIO()
    console(file=stream, width=300).print(screen(RunFollower(tmp_path / "run").look(), 300))
    assert BY_RICH in stream.getvalue()
    assert stream.getvalue().replace("\n", "").isprintable()
