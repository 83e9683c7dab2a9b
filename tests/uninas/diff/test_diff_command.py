"""`uninas diff`: exit status, output, pictures, and the runs of searches."""

import json
import random
import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from search.commands.diff import command
from search.engine.lineage import lineage
from uninas import Architecture, InputError, canonicalise, preset, to_document, to_text
from uninas.edits import Edit, Rejection, apply, propose
from uninas.spaces import SPACES


def run(*arguments: str):
    return CliRunner().invoke(command, list(arguments))


def test_exit_status_and_output():
    equal, different = run("resnet50", "resnet50"), run("resnet50", "resnext50_32x4d")
    assert (equal.exit_code, different.exit_code) == (0, 1)
    assert preset("resnet50").digest in equal.output
    assert "conv 3×3, 32 groups %4 between ReLU %3 and BatchNorm %5: groups 1 became 32" in different.output
    assert "-528,128 (-2.1 %)" in different.output
    found = json.loads(run("resnet50", "resnext50_32x4d", "--json").output)
    assert found["difference"]["params"] == -528_128
    assert found["stages"][0]["blocks"][0]["subblocks"][0]["edits"][1] == {
        "kind": "replaced",
        "a": [{"node": 4, "op": "conv(kernel=3, bias=false)"}],
        "b": [{"node": 4, "op": "conv(kernel=3, groups=32, bias=false)"}],
        "reads": [{"node": 3, "op": "relu"}],
        "readers": [{"node": 5, "op": "batch_norm"}],
    }


def test_the_program_exits_with_2_on_trouble_and_needs_no_torch():
    program = (
        "import sys; from uninas.cli import main\n"
        "for names, status in ((['vit', 'vit'], 0), (['vit', 'coatnet'], 1), (['vit', 'nothing'], 2), (['vit'], 2)):\n"
        "    try: main(['diff', *names])\n"
        "    except SystemExit as end: assert end.code == status, (names, end.code)\n"
        "assert not {'torch', 'ray', 'numpy', 'yaml'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "no such file" in done.stderr
    assert "the folder of a search alone" in done.stderr


def test_a_picture_marks_what_differs_and_nothing_else(tmp_path):
    target = tmp_path / "d.svg"
    assert run("resnet50", "resnext50_32x4d", "--out", str(target)).exit_code == 1
    root = ElementTree.fromstring(target.read_text(encoding="utf-8"))
    styles = Counter(rect.get("class") for rect in root.iter("{http://www.w3.org/2000/svg}rect"))
    marks = {name: count for name, count in styles.items() if name and name.startswith("un-mark")}
    # Legend; then chips and, twice, three convolutions: of one block for all stages (the same graphs), and of the entries.
    assert marks == {"un-mark un-added": 1, "un-mark un-removed": 1, "un-mark un-changed": 1 + 8 + 2 * 3 * 3}


def run_folder(tmp_path, *, steps: int = 4, config: str = "space:\n  preset: coatnet\n"):
    """What a search leaves: a journal of some edits of the preset, and its last candidate as the best."""
    rng, reached = random.Random(3), canonicalise(preset("coatnet"))
    records = [{"kind": "header", "version": 1}, {"kind": "candidate", "digest": reached.digest, "parent": None, "edit": None}]
    while len(records) < steps + 2:
        edit = propose(reached, rng)
        child = edit if isinstance(edit, Rejection) else apply(reached, edit)
        if not isinstance(child, Rejection):
            records.append({"kind": "candidate", "digest": child.digest, "parent": reached.digest, "edit": edit.as_dict()})
            reached = child
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "journal.jsonl").write_text(lines + '{"kind": "cand', encoding="utf-8")
    (tmp_path / "best.json").write_text(to_text(reached), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    return tmp_path, reached


def test_a_run_alone_is_compared_with_its_start_and_its_journal_told(tmp_path):
    folder, reached = run_folder(tmp_path)
    result = run(str(folder))
    assert result.exit_code == 1
    assert "The journal: 4 edits from the start" in result.output
    assert len(json.loads(run(str(folder), "--json").output)["journal"]) == 4
    assert "The journal" in run("coatnet", str(folder)).output
    assert "The journal" not in run("vit", str(folder)).output
    assert lineage(folder, reached.digest).start == preset("coatnet").digest
    assert lineage(folder, "0" * 64) is None


@pytest.mark.parametrize(
    ("config", "message"),
    [("space:\n  preset: vit\n", "journal"), ("space: {}\n", "space.preset"), ("a: [\n", "space.preset")],
)
def test_a_run_that_does_not_say_its_start_is_refused(tmp_path, config, message):
    folder, _ = run_folder(tmp_path, config=config)
    result = run(str(folder))
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


def choice_folder(tmp_path, config):
    """What a search in a space of choices leaves: two genotypes, one from the other."""
    space, rng = SPACES["nats_bench_size"], random.Random(1)
    genotypes = [space.parse("8:16:32:48:64")]
    genotypes += [space.mutate(genotypes[0], rng)]
    genotypes += [space.mutate(genotypes[1], rng)]
    networks = [canonicalise(space.build(genotype, 10, (32, 32))) for genotype in genotypes]
    records = [{"kind": "candidate", "digest": networks[0].digest, "parent": None, "edit": None}]
    for parent, child, genotype in zip(networks, networks[1:], genotypes[1:], strict=False):
        records.append({"kind": "candidate", "digest": child.digest, "parent": parent.digest, "edit": {"genotype": genotype}})
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    (tmp_path / "best.json").write_text(to_text(networks[-1]), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    return [space.text(genotype) for genotype in genotypes]


def test_a_run_in_a_published_space_is_told_by_its_choices(tmp_path):
    texts = choice_folder(tmp_path, "space: {name: nats_bench_size, start: '8:16:32:48:64'}")
    result = run(str(tmp_path))
    assert result.exit_code == 1, result.exception
    assert f"The journal: 2 genotypes after the start's\n  1 {texts[1]}\n  2 {texts[2]}\n" in result.output
    told = json.loads(run(str(tmp_path), "--json").output)["journal"]
    assert [list(step) for step in told] == [["genotype"], ["genotype"]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("space: {name: nats_bench_size}", "expected a start of digest"),
        ("space: {file: mine.py}", "its space is a Python file, which is not run to compare networks"),
        ("space: {name: none}", "space.preset, space.fitted or a published space.name"),
    ],
)
def test_a_run_in_a_space_that_is_not_the_journals_is_refused(tmp_path, config, message):
    choice_folder(tmp_path, config)
    result = run(str(tmp_path))
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert str(tmp_path) in str(result.exception)


def test_a_sample_that_was_drawn_whole_is_where_its_run_begins(tmp_path):
    """Its parent in the journal is the run's start in name only."""
    folder, _ = run_folder(tmp_path)
    sample = canonicalise(preset("resnet"))
    edit = next(
        edit
        for seed in range(99)
        if isinstance(edit := propose(sample, random.Random(seed)), Edit) and isinstance(apply(sample, edit), Architecture)
    )
    child = apply(sample, edit)
    drawn = {"architecture": to_document(sample)}
    with (folder / "journal.jsonl").open("w", encoding="utf-8") as stream:
        for reached, edits in ((sample, []), (child, [edit.as_dict()])):
            record = {"kind": "candidate", "digest": reached.digest, "parent": "0" * 64, "edit": {**drawn, "edits": edits}}
            stream.write(json.dumps(record) + "\n")
    (folder / "best.json").write_text(to_text(child), encoding="utf-8")
    result = run(str(folder))
    assert result.exit_code == 1, result.exception
    assert "The journal: 1 edit from the start" in result.output
    (folder / "best.json").write_text(to_text(sample), encoding="utf-8")
    assert run(str(folder)).exit_code == 0


def test_a_broken_journal_is_named_with_its_line(tmp_path):
    folder, _ = run_folder(tmp_path)
    (folder / "journal.jsonl").write_text('{"kind": "header"}\n[]\n', encoding="utf-8")
    result = run(str(folder))
    assert isinstance(result.exception, InputError)
    assert "journal.jsonl, line 2" in str(result.exception)
