"""Configurations: what is read, what is refused and how the refusal reads."""

import dataclasses
import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

from search.config import loading
from search.spaces.from_config import from_config
from uninas.edits import PRIOR
from uninas.errors import InputError

CONFIGS = sorted((Path(__file__).parents[3] / "configs" / "search").glob("*.yaml"))


def refuse(text: str, *overrides: str) -> str:
    with pytest.raises(InputError) as caught:
        loading.parse(text, overrides, source="it.yaml")
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_load_and_their_start_is_within_the_budget(path: Path) -> None:
    settings = loading.load(path)
    assert from_config(settings).starts()
    assert loading.parse(loading.to_yaml(settings)) == settings


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_comment_every_line(path: Path) -> None:
    assert [line for line in path.read_text().splitlines() if "#" not in line and not line.endswith(":")] == [
        "  preset: coatnet"
    ][:0]


def test_the_demo_is_small_and_bound() -> None:
    demo = loading.load(next(path for path in CONFIGS if path.stem == "demo"))
    assert None not in (demo.budget.params, demo.budget.macs, demo.budget.layers, demo.budget.attention_tokens)
    assert 100 <= demo.evaluations <= 400


def test_overrides_replace_and_create() -> None:
    settings = loading.parse("space: coatnet", ["budget.params=5.0e6", "size=64x32", "space.widths=[16, 32]", "seed=3"])
    assert (settings.budget.params, settings.size, settings.space.widths, settings.seed) == (5_000_000, [64, 32], [16, 32], 3)
    assert settings.space.preset == "coatnet"
    settings = loading.parse("evaluations: 9\nfinalists: {count: 1}", ["space=vit", "space.stem=[8, 16]"])
    assert (settings.space.preset, settings.space.stem) == ("vit", [8, 16])
    assert loading.parse("space: vit\nbudget: null", ["budget.macs=7"]).budget.macs == 7


def test_the_guide_shows_the_prior_as_it_is() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "search.md").read_text()
    section = guide[guide.index("## What edits do") : guide.index("## Larger steps, crossover and niches")]
    shown = dict(re.findall(r"`([a-z_]+)` ([0-9.]+)", section))
    assert {kind: float(weight) for kind, weight in shown.items()} == PRIOR


def test_a_vocabulary_is_a_name_or_several_and_a_prior_changes_weights() -> None:
    settings = loading.parse("space: {preset: vit, vocabulary: uninas, prior: {insert: 9}}", ["space.prior.remove=0"])
    assert settings.space.vocabulary == ["uninas"]
    assert settings.space.prior == {"insert": 9.0, "remove": 0.0}
    assert loading.parse("space: vit", ["space.vocabulary=[gelu, uninas]"]).space.vocabulary == ["gelu", "uninas"]
    assert loading.parse(loading.to_yaml(settings)) == settings


@pytest.mark.parametrize("text", ["5.0e6", "5e6", "5_000_000", "'5000000'", "5.0e+6", "5000000.0"])
def test_whole_numbers_in_any_spelling(text: str) -> None:
    assert loading.parse(f"space: vit\nbudget: {{params: {text}}}").budget.params == 5_000_000


def test_a_cluster_file_carries_the_search_under_metadata() -> None:
    text = "cluster_name: mine\nprovider: {type: local}\nmetadata:\n  search: {space: vit, seed: 7}\n"
    assert loading.parse(text, ["evaluations=9", "finalists.count=2"]).seed == 7
    assert "metadata.search; got nothing" in refuse("metadata: {other: 1}")


def test_the_digest_leaves_out_what_a_resume_may_change() -> None:
    base = loading.parse("space: vit")
    assert loading.digest(loading.parse("space: vit", ["evaluations=2000", "pool.workers=5"])) == loading.digest(base)
    for change in ("seed=1", "budget.params=9", "objective=jacov", "window=2", "finalists.seeds=9"):
        assert loading.digest(loading.parse("space: vit", [change])) != loading.digest(base), change


def test_a_key_that_is_younger_than_a_run_folder_does_not_change_its_digest() -> None:
    """A run that began before there were latency, objectives, budget.latency_ms, prior, images and the like still resumes.

    So does one from before ties and space.regularisers, which say what was done then.
    """
    settings = loading.parse("space: vit", stored=True)
    of_before = ["ties=older", "space.regularisers=true", "finalists.controls=[]", "finalists.by_model=0"]
    assert settings == loading.parse("space: vit", of_before)
    old = {name: value for name, value in dataclasses.asdict(settings).items() if name not in ("evaluations", "pool")}
    del old["latency"], old["objectives"], old["budget"]["latency_ms"], old["algorithm_file"]
    del (
        old["proxies"]["file"],
        old["proxies"]["options"],
        old["ties"],
        old["images"],
        old["training"],
        old["finalists"]["reliability"],
        old["finalists"]["controls"],
        old["finalists"]["by_model"],
        old["finalists"]["per_class"],
        old["finalists"]["epochs"],
        old["ladder"],
    )
    for name in ("name", "file", "start", "fitted", "sampler", "vocabulary", "prior", "regularisers"):
        del old["space"][name]
    digest = hashlib.sha256(json.dumps(old, sort_keys=True).encode()).hexdigest()
    assert digest == "fe4ba375772aae39cb7b032c1063b81a74f64d9ac023435f8f684980340a6f24", "as the program before those keys had it"
    assert loading.digest(settings) == digest
    for override in of_before:
        assert loading.digest(loading.parse("space: vit", [override])) != digest
    assert loading.digest(loading.parse("space: vit", ["budget.latency_ms=5"])) != digest
    timed = loading.parse("space: vit", ["budget.latency_ms=5", "latency.runs=20"])
    assert loading.digest(timed) != loading.digest(loading.parse("space: vit", ["budget.latency_ms=5"]))
    assert loading.digest(loading.parse("space: vit", ["proxies.file=mine.py"])) != digest
    assert loading.digest(loading.parse("space: vit", ["algorithm={file: mine.py, name: walk}"])) != digest
    pareto = loading.parse("space: vit", ["algorithm=pareto"])
    assert loading.digest(loading.parse("space: vit", ["algorithm=pareto", "objectives=[score, macs]"])) != loading.digest(pareto)


@pytest.mark.parametrize("space", ["space: vit", "space: mobilenetv2", "space: {file: mine.py}"])
def test_a_stored_configuration_means_what_it_says(space: str) -> None:
    """What a key says counts, and a categorical space has none of those of graphs."""
    written = loading.to_yaml(loading.parse(space))
    assert loading.parse(written, stored=True) == loading.parse(space)
    older = loading.parse(space, ["ties=older"])
    assert loading.parse(loading.to_yaml(older), stored=True) == older
    before = loading.parse(space, stored=True)
    assert (before.ties, before.space.regularisers) == ("older", space == "space: vit")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("ties=cheap", "ties: expected one of cheaper, older; got 'cheap', nearest is 'cheaper'"),
        (
            "space.vocabulary=[gelu, dropout]",
            "expected operations that a score can see; got dropout: with space.regularisers=true",
        ),
    ],
)
def test_what_no_score_sees_is_searched_on_request_alone(override: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        loading.parse("space: vit", [override])
    loading.parse("space: vit", ["space.vocabulary=[gelu, dropout]", "space.regularisers=true"])


def test_files_that_are_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: .*no such file"):
        loading.load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="cannot read it"):
        loading.load(tmp_path)
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read it"):
        loading.load(tmp_path / "bytes.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the file is empty"),
        ("# only a comment\n", "the file is empty"),
        ("- a\n- b\n", "expected a YAML mapping of search keys; got a list of 2"),
        ("walk", "expected a YAML mapping of search keys; got text 'walk'"),
        ("space: [", "line 1: expected YAML"),
        ("space: vit\nspace: resnet\n", "the key 'space' is given twice"),
        ("space: !!python/object/apply:os.system ['true']", "expected YAML; could not determine a constructor"),
        ("[" * 200_000, "nested too deep"),
        ("space: vit\nobjectve: vkdnw", "unknown key 'objectve'; nearest known key is 'objective'"),
        ("space: vit\nbudget: {parms: 3}", "unknown key 'budget.parms'; nearest known key is 'budget.params'"),
        ("space: vit\nevaluations: many", "evaluations: expected a whole number; got text 'many'"),
        ("space: vit\nevaluations: 2.5", "evaluations: expected a whole number; got float '2.5'"),
        ("space: vit\nevaluations: true", "evaluations: expected a whole number; got bool 'True'"),
        ("space: vit\nevaluations: .nan", "evaluations: expected a whole number; got float 'nan'"),
        ("space: vit\nevaluations:", "evaluations: expected a whole number; got nothing"),
        ("space: vit\nbudget: 5", "budget: expected a mapping; got int '5'"),
        ("space: vit\nbaseline: perhaps", "baseline: expected true or false; got text 'perhaps'"),
        ("space: vit\nseed: [1]", "seed: expected a whole number; got a list of 1"),
        ("space: {preset: vit, widths: [16, x]}", "space.widths[1]: expected a whole number; got text 'x'"),
        ("space: {preset: vit, widths: 16}", "space.widths: expected a list of whole numbers; got int '16'"),
        ("space: vit\nsize: 64x", "size: expected a list of whole numbers; got text '64x'"),
        ("space: vit\nsize: [1, 2, 3]", "size: expected one number, or a height and a width"),
        ("space: vit\nsize: 16", "size: expected at least 32 pixels each way (five halvings); got 16x16"),
        ("space: vit\nevaluations: 0", "evaluations: expected at least 1; got 0"),
        ("space: vit\nwindow: 0", "window: expected at least 1; got 0"),
        ("space: vit\nseed: -1", "seed: expected at least 0; got -1"),
        ("space: vit\nbudget: {params: 0}", "budget.params: expected at least 1 (no network fits into less); got 0"),
        ("space: vit\nbudget: {macs: -5}", "budget.macs: expected at least 1"),
        ("space: vit\nalgorithm: wlak", "expected one of aging_evolution, evolution, model, pareto, random, walk; got 'wlak'"),
        ("space: vit\norder: sorted", "order: expected one of ask, completion"),
        ("space: vit\nobjective: vkdwn", "nearest is 'vkdnw'"),
        ("space: vit\npool: {kind: slurm}", "pool.kind: expected one of ray, serial"),
        ("space: vit\npool: {gpus_per_worker: 1.5}", "pool.gpus_per_worker: expected 0, a fraction of one, or a whole number"),
        ("space: vit\npool: {deadline_s: 0}", "pool.deadline_s: expected more than 0 seconds"),
        ("space: vit\npool: {workers: 2, min_workers: 3}", "pool.min_workers: expected at most pool.workers, 2; got 3"),
        ("space: vit\npool: {workers: 2, min_workers: -1}", "pool.min_workers: expected at least 0; got -1"),
        ("space: vit\npool: {batch: 0}", "pool.batch: expected at least 1; got 0"),
        ("space: vit\nproxies: {smoothing: 1}", "proxies.smoothing: expected a number in [0, 1); got 1.0"),
        ("space: vit\nclasses: 1", "classes: expected at least 2 for vkdnw, a score of the objective vkdnw_agg; got 1"),
        ("space: vit\nclasses: 1\nobjective: gradsign", "classes: expected at least 2 for gradsign, a score of the objective"),
        ("space: vit\nclasses: 2\nbatch: 1", "batch: expected at least 2 for vkdnw; got 1"),
        ("space: vit\nevaluations: 4", "finalists.count: expected at most evaluations (4); got 8"),
        ("seed: 1", "space: expected one of preset, architecture, name and file, or fitted; got none"),
        (
            "space: {preset: vit, architecture: a.json}",
            "one of preset, architecture, name and file, or fitted; got preset and architecture",
        ),
        ("space: {architecture: a.json, depths: [1]}", "widths, depths and stem beside a preset only"),
        ("space: vit\nalgorithm_options: {population: 3}", "algorithm_options.population: walk knows no options"),
        ("space: vit\nobjectives: [score, params]", "objectives: expected none beside algorithm walk (pareto has several)"),
        ("space: vit\nalgorithm: pareto\nobjectives: score", "objectives: expected a list of names; got text 'score'"),
        ("space: vit\nalgorithm: pareto\nobjectives: [score, 3]", "objectives[1]: expected text; got int '3': put it in quotes"),
        ("space: {preset: vit, widths: [16, true]}", "space.widths[1]: expected a whole number; got bool 'True'"),
        ("space: {preset: 5}", "space.preset: expected text; got int '5': put it in quotes"),
        ("space: {preset: [vit]}", "space.preset: expected text; got a list of 1"),
        ("space: vit\nbaseline: 1", "baseline: expected true or false; got int '1'"),
        ("space: vit\nbudget:", "budget: expected a mapping; got nothing"),
        ("space: vit\nproxies: {smoothing: .inf}", "proxies.smoothing: expected a number; got float 'inf'"),
        ("space: {preset: vit, prior: {3: 1}}", "space.prior: expected a mapping of names to numbers; got a mapping"),
        ("space: vit\npool: {deadline_s: true}", "pool.deadline_s: expected a number; got bool 'True'"),
        ("space: vit\nalgorithm: pareto\nobjectives: [score]", "objectives: expected score (the objective) and at least one of"),
        ("space: vit\nalgorithm: pareto\nobjectives: []", "objectives: expected score (the objective) and at least one of"),
        ("space: vit\nalgorithm: pareto\nobjectives: [params, macs]", "expected score (the objective) and at least one of"),
        ("space: vit\nalgorithm: pareto\nobjectives: [score, latency]", "got 'latency', nearest is 'latency_ms'"),
        ("space: vit\nalgorithm: pareto\nobjectives: [score, macs, macs]", "objectives: expected each name once; got macs twice"),
        (
            "space: vit\nalgorithm: pareto\nalgorithm_options: {tournament: 3}",
            "pareto knows population, crossover, largest_stride; got",
        ),
        ("space: {preset: vit, sampler: grammer}", "space.sampler: expected one of grammar, walk; got 'grammer', nearest is"),
        ("space: {preset: vit, random_edits: 0}", "space.random_edits: expected at least 1; got 0"),
        ("space: {preset: vit, sampler: grammar, random_edits: -1}", "space.random_edits: expected at least 0; got -1"),
        ("space: {preset: vit, vocabulary: uninass}", "space.vocabulary: expected a vocabulary (universal, uninas) or a"),
        ("space: {preset: vit, vocabulary: [uninas, gleu]}", "got 'gleu', nearest is 'gelu'"),
        ("space: {preset: vit, vocabulary: []}", "space.vocabulary: expected a vocabulary"),
        ("space: {preset: vit, vocabulary: 3}", "space.vocabulary: expected a list of names; got int '3'"),
        ("space: {preset: vit, prior: {isnert: 1}}", "got 'isnert', nearest is 'insert'"),
        ("space: {preset: vit, prior: {insert: -1}}", "space.prior: expected a weight of at least 0 for insert, got -1"),
        ("space: {preset: vit, prior: {insert: often}}", "space.prior.insert: expected a number; got text 'often'"),
        ("space: {preset: vit, prior: insert}", "space.prior: expected a mapping of names to numbers; got text 'insert'"),
        (
            "space: {preset: vit, prior: {crossover: 0, crossover_stage: 0}}\nalgorithm: evolution\n"
            "algorithm_options: {crossover: 0.5}",
            "space.prior: expected a weight above 0 for crossover or crossover_stage beside algorithm_options.crossover",
        ),
        (
            "space: vit\nalgorithm: evolution\nalgorithm_options: {crossover: 1.5}",
            "algorithm_options.crossover: expected a share from 0 to 1; got 1.5",
        ),
        (
            "space: vit\nalgorithm: evolution\nalgorithm_options: {max_per_niche: -1}",
            "algorithm_options.max_per_niche: expected a whole number of at least 0; got -1",
        ),
        ("space: vit\nbudget: {latency_ms: 0}", "budget.latency_ms: expected more than 0 milliseconds, or null; got 0"),
        ("space: vit\nbudget: {latency_ms: fast}", "budget.latency_ms: expected a number; got text 'fast'"),
        ("space: vit\nlatency: {batch: 8}", "latency: expected latency_ms among objectives, or budget.latency_ms, else nothing"),
        ("space: vit\nlatency: {runs: 0}", "latency.runs: expected at least 1; got 0"),
        ("space: vit\nlatency: {batch: 0}", "latency.batch: expected at least 1; got 0"),
        ("space: vit\nlatency: {warmup: -1}", "latency.warmup: expected at least 0; got -1"),
        ("space: vit\nlatency: {precision: int8}", "latency.precision: expected one of bfloat16, float16, float32; got 'int8'"),
        (
            "space: vit\nalgorithm: evolution\nalgorithm_options: {population: 0}",
            "algorithm_options.population: expected a whole number of at least 1; got 0",
        ),
    ],
)
def test_messages_say_what_was_expected_what_was_got_and_where(text: str, words: str) -> None:
    message = refuse(text)
    assert message.startswith("it.yaml")
    assert words in message


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a ${seed} b", "${"])
def test_references_are_refused_and_never_resolved(text: str) -> None:
    document = yaml.safe_dump({"space": {"architecture": text}})
    assert "references are never resolved" in refuse(document)
    assert "references are never resolved" in refuse("space: vit", f"pool.address='{text}'")


def test_overrides_that_are_none() -> None:
    assert "expected key=value" in refuse("space: vit", "evaluations")
    assert "unknown key 'bugdet'" in refuse("space: vit", "bugdet.params=5")
    said = refuse("space: vit\nbudget: 5", "budget.params=5")
    assert "expected budget to be a mapping; the configuration has int '5'" in said, "a wrong value is not overwritten in silence"
    assert "override 'seed=[': expected YAML" in refuse("space: vit", "seed=[").replace(", line 1", "")
