"""What the digest of the scoring code takes in: all that decides a score, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import proxies
from search.workers import scoring_code
from tests.search.conftest import ROOT

LOADED = """
import json, sys
from search.workers import evaluate
from search.workers.job import Job
from proxies.table import TABLE
import uninas
network = uninas.preset("coatnet", widths=[32, 64, 96, 128], depths=[1, 1, 1, 1], stem=[8, 16], classes=10, input_size=(32, 32))
text = uninas.to_text(uninas.canonicalise(network))
before = set(sys.modules)
for names in (tuple(TABLE), ("params", "flops")):
    outcome = evaluate.evaluate(Job("0" * 64, text, (32, 32), 10, 4, 1, 0, names))
    assert outcome.status == "ok", outcome.reason
print(json.dumps(sorted(name for name in sys.modules if name.split(".")[0] in ("uninas", "proxies", "search"))))
"""
DECIDES_NOTHING = ("uninas.__init__", "uninas.errors", "uninas.runtime", "uninas.files", "uninas.networks", "uninas.edits")
DECIDES_NOTHING += ("uninas.rejections", "uninas.analysis.__init__", "uninas.analysis.degenerate", "search.__init__")
DECIDES_NOTHING += ("search.workers.__init__", "search.workers.scoring_code", "search.workers.own_proxies", "search.ranking")
"""Loaded for the network of the test, for messages and for files, to say which code this is; or empty."""


@pytest.mark.slow
def test_every_module_that_scoring_loads_is_in_it() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    files = set(scoring_code.files_of(scoring_code.SEARCH))
    for name in json.loads(done.stdout):
        path = ROOT / name.replace(".", "/")
        module = f"{name}.__init__" if path.is_dir() else name
        if not module.startswith(DECIDES_NOTHING):
            assert f"{module.replace('.', '/')}.py" in files, module


def test_reports_displays_and_checks_for_authors_are_not_in_it() -> None:
    files = scoring_code.files_of(scoring_code.SEARCH)
    assert "proxies/vkdnw/fisher.py" in files
    assert "uninas/compile/layers.py" in files
    assert not [file for file in files if "report" in file or "testing" in file or "drawing" in file or "monitor" in file]


PROGRAM = '''"""Say what it is."""

LIMIT = 3  # of them
"""A word on it."""


def double(value):
    """Double it."""
    # as often as wanted
    return "#" + 2 * value
'''


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("Say what it is.", "Say it\n\nin more words.", True),
        ("  # of them", "", True),
        ("A word on it.", "Another.", True),
        ('    """Double it."""\n', "", True),
        ("    # as often as wanted\n", "    # as often\n\n    # as it is wanted\n", True),
        ("2 * value", "3 * value", False),
        ('"#"', '"# "', False),
        ("LIMIT = 3", "LIMIT = 4", False),
    ],
)
def test_words_for_people_leave_it_as_it_is(
    old: str, new: str, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring_code, "ROOT", tmp_path)
    (tmp_path / "some").mkdir()
    assert old in PROGRAM
    digests = []
    for text in (PROGRAM, PROGRAM.replace(old, new)):
        (tmp_path / "some" / "program.py").write_text(text)
        digests.append(scoring_code.digest.__wrapped__(("some",)))
    assert (digests[0] == digests[1]) is same


def test_a_new_file_among_them_changes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring_code, "ROOT", tmp_path)
    before = scoring_code.digest.__wrapped__((".",))
    (tmp_path / "more.py").write_text("")
    assert scoring_code.digest.__wrapped__((".",)) != before


def test_a_proxy_of_another_module_has_the_digest_of_its_file() -> None:
    @proxies.register("here")
    def here(network: object, batch: object) -> float:
        return 1.0

    found = scoring_code.scoring_code(["flops", "here"])
    assert list(found.others) == [__name__]
    assert found.revisions == {"flops": 0, "here": 0}
