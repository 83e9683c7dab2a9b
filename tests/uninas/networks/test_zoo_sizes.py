"""At which sizes published networks are timm's: as `SIDES` says, no more and no less."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import downstream  # noqa: F401 mends torchvision, which timm imports
from tests.uninas.networks.test_zoo import copy, randomise
from uninas import cli, preset
from uninas.compile.module import build
from uninas.networks.zoo import SIDES, ZOO, note_on_sizes

timm = pytest.importorskip("timm")

OPTIONS: dict[str, dict[str, Any]] = {
    "deit_small_patch16_224": {"dynamic_img_size": True, "dynamic_img_pad": True},
    "swin_tiny_patch4_window7_224": {"strict_img_size": False},
}
"""What timm needs to run at another size than the one it was made with."""

QUICK: list[tuple[str, tuple[int, int]]] = [
    ("convnext_tiny", (64, 96)),
    ("convnext_tiny", (65, 75)),
    ("poolformer_s12", (43, 67)),
    ("poolformer_s12", (65, 75)),
    ("pvt_v2_b1", (61, 95)),
    ("pvt_v2_b1", (60, 64)),
]
SLOW: list[tuple[str, tuple[int, int]]] = [
    ("convnext_tiny", (63, 64)),
    ("poolformer_s12", (62, 64)),
    ("pvt_v2_b1", (65, 75)),
    ("swin_tiny_patch4_window7_224", (224, 448)),
    ("swin_tiny_patch4_window7_224", (96, 128)),
]


def difference(name: str, size: tuple[int, int]) -> float:
    """How far the logits are from timm's, relative to the largest."""
    torch.manual_seed(0)
    theirs = timm.create_model(name, **OPTIONS.get(name, {})).eval()
    randomise(theirs)
    ours = build(preset(name)).eval()
    copy(name, theirs, ours)
    if name.startswith("swin") and SIDES[name].hold(size):
        theirs.set_input_size(size, window_size=7)
    image = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = theirs(image)
        return float((ours(image) - expected).abs().max() / expected.abs().max())


def slow(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


@pytest.mark.parametrize(("name", "size"), [*QUICK, *(slow(*one) for one in SLOW)])
def test_a_network_is_timms_where_it_is_said_to_be(name: str, size: tuple[int, int]) -> None:
    found = difference(name, size)
    if SIDES[name].hold(size):
        assert found < 1e-4
    else:
        assert found > 1e-3, "else the note is wrong"


EXACT = sorted(set(ZOO) - set(SIDES))


@pytest.mark.parametrize("name", [one if one in ("deit_small_patch16_224", "mobilenetv2_100") else slow(one) for one in EXACT])
def test_networks_without_a_note_are_timms_at_odd_sizes(name: str) -> None:
    assert difference(name, (65, 75)) < 1e-4


def test_the_command_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pvt_v2_b1", "coatnet_0_224", "resnet50"):
        with pytest.raises(SystemExit) as left:
            cli.main(["show", name])
        assert left.value.code == 0
        said = " ".join(capsys.readouterr().out.split())
        assert bool(note_on_sizes(name)) == ("timm's" in said)
        assert note_on_sizes(name) in said
    assert "32 divides height and width or leaves 29, 30, 31 over" in note_on_sizes("pvt_v2_b1")
    assert "where height and width are 224" in note_on_sizes("coatnet_0_224")
