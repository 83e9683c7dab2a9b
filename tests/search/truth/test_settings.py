"""The configuration of a ground truth: shipped ones load, what cannot be is one line with its key."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from search.truth.settings import TruthConfig, digest, load, to_yaml
from uninas import InputError

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "truth").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_ones_load_by_path_and_by_name(path: Path) -> None:
    config = load(path)
    assert load(path.stem) == config
    assert config.networks >= 128


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = load("cifar10", ["recipe.rate=1e-3", "size=32x48", "pool.kind=serial"])
    (tmp_path / "config.yaml").write_text(to_yaml(config))
    assert load(tmp_path / "config.yaml") == config
    assert config.recipe.rate == 1e-3
    assert config.size == [32, 48]


def test_what_decides_an_accuracy_decides_the_digest() -> None:
    config = load("cifar10")
    same = load("cifar10", ["networks=512", "repeated=64", "seeds=3", "pool.workers=9", "pool.kind=serial"])
    assert digest(same) == digest(config)
    for override in ("seed=1", "recipe.epochs=2", "images.per_class=5", "fill=0.8", "budget.params=700000", "families=[gate]"):
        assert digest(load("cifar10", [override])) != digest(config)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("recipe.epoch=3", "unknown key 'recipe.epoch'; nearest known key is 'recipe.epochs'"),
        ("recipe.epochs=0", "recipe.epochs: expected at least 1; got 0"),
        ("recipe.epochs=some", "recipe.epochs: expected a whole number; got text 'some'"),
        ("recipe.warmup=1", "recipe.warmup: expected at least 0 and less than 1; got 1"),
        ("recipe.rate=0", "recipe.rate: expected more than 0; got 0"),
        ("recipe.precision=float16", "recipe.precision: expected float32 or bfloat16; got 'float16'"),
        ("recipe.shift=40", "recipe.shift: expected less than the 32 pixels of an image; got 40"),
        ("families=[gate, mixers]", "families: expected some of convolution, attention, hybrid, gate, mixer; got 'mixers'"),
        ("families=[gate, gate]", "families: expected each name once; got gate, gate"),
        ("presets=[resnet50]", "presets: expected some of resnet, efficientnet, vit, coatnet; got 'resnet50'"),
        ("budget.macs=null", "budget: expected both params and macs, a narrow band; got one of them"),
        ("budget.latency_ms=5", "budget.latency_ms: expected none"),
        ("fill=1", "fill: expected a share between 0 and 1; got 1"),
        ("size=16", "size: expected height and width of at least 32 pixels; got [16, 16]"),
        ("vocabulary=[nothing]", "vocabulary: "),
        ("pool.kind=slurm", "pool.kind: expected serial or ray; got 'slurm'"),
        ("networks=-1", "networks: expected at least 0; got -1"),
    ],
)
def test_what_cannot_be_is_one_line(override: str, said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)) as raised:
        load("cifar10", [override])
    assert "\n" not in str(raised.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected the configuration of a ground truth \(YAML\); no such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(InputError, match="nearest is 'cifar10'"):
        load("cifar")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(InputError, match="expected a YAML mapping of keys of a ground truth; the file is empty"):
        load(tmp_path / "empty.yaml")


def test_defaults_are_checked_too(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 3")
    config = load(tmp_path / "config.yaml")
    assert config == TruthConfig(seed=3)
