"""Networks off the template: their files, and edits of their frames."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given

from tests.amounts import examples
from tests.uninas.analysis.test_cost import module_params
from tests.uninas.edits.test_frames import CONV, DOWN, SEEDS, STEM, ZERO, network, plain
from tests.uninas.examples import framed, graph_of, tiny
from tests.uninas.running import executed_macs
from uninas import (
    IDENTITY,
    Architecture,
    Block,
    InputError,
    Rejection,
    Stage,
    apply,
    canonicalise,
    cost,
    mutate,
    op,
    parse,
    preset,
    to_text,
    warnings_of,
)
from uninas.compile.module import build
from uninas.edits import Edit, crossover_edit


@given(SEEDS)
@examples(150)
def test_text_round_trip(seed: int) -> None:
    architecture = framed(random.Random(seed), zeros=0.5)
    text = to_text(architecture, {"note": 1})
    assert parse(text) == architecture
    assert to_text(parse(text), {"note": 1}) == text


def test_what_version_1_can_say_is_written_in_version_1() -> None:
    assert json.loads(to_text(tiny()))["version"] == 1
    news = [
        tiny().replace(stem=STEM, stages=()),
        tiny().replace(head=CONV),
        tiny().with_block(0, 0, plain(CONV)),
        tiny().replace(stages=(Stage(32, tiny().stages[0].blocks, DOWN), *tiny().stages[1:])),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = relu %0", "return %1")),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = average_pool %0", "return %1")),
        tiny().with_subblock(0, 0, 1, graph_of("%1 = max_pool(stride=2) %0", "return %0")),
    ]
    assert {json.loads(to_text(architecture))["version"] for architecture in news} == {2}


def test_the_examples_of_the_documentation_are_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "architecture_file.md").read_text(encoding="utf-8")
    examples = [text for text in re.findall(r"(?:^    .*\n)+", page, re.MULTILINE) if '"format"' in text]
    assert [len(parse(text).stages) for text in examples] == [1, 2]


def document(**changes: object) -> str:
    made = json.loads(to_text(network(plain(CONV), Block((CONV, None)), entry=DOWN, head=CONV)))
    made.update(changes)
    return json.dumps(made)


def one_stage(**changes: object) -> list[dict[str, object]]:
    return [{"width": 32, "entry": "g2", "blocks": [{"plain": ["g3"]}], **changes}]


WRONG = {
    "new keys in an old version": (document(version=1), "unknown key 'head'"),
    "a new stem in an old version": (document(version=1, head=None), "unknown key 'head'"),
    "a stem that is no graph": (document(stem="g9"), "stem: no graph is called 'g9'"),
    "a stem that is absent": (document(stem="absent"), "stem: no graph is called 'absent'"),
    "a stem that is a number": (document(stem=3), '"stem" to be two integers'),
    "a head that is a list": (document(head=["g1"]), "head: expected a graph's name"),
    "a head that is no graph": (document(head="gelu"), "head: no graph"),
    "a transition that is no graph": (document(stages=one_stage(entry="g9")), "stage 1, transition: no graph"),
    "a transition that is true": (document(stages=one_stage(entry=True)), "stage 1, transition: expected a graph's name"),
    "a transition to another width": (
        document(stages=one_stage(width=33)),
        "stage 1: expected its transition to lead to 33 channels",
    ),
    "an unknown key of a stage": (document(stages=one_stage(exit="g1")), "stage 1: unknown key 'exit'"),
    "a plain block of none": (document(stages=one_stage(blocks=[{"plain": []}])), "1 to 16 graph names"),
    "a plain block of too many": (document(stages=one_stage(blocks=[{"plain": ["g3"] * 17}])), "1 to 16 graph names"),
    "a plain block that is a text": (document(stages=one_stage(blocks=[{"plain": "g3"}])), "1 to 16 graph names"),
    "a plain block of nowhere": (document(stages=one_stage(blocks=[{"plain": ["g9"]}])), "block 1: no graph is called 'g9'"),
    "a block of another kind": (document(stages=one_stage(blocks=[{"dense": ["g3"]}])), "block 1: expected 1 to 16 graph names"),
    "a block of two kinds": (
        document(stages=one_stage(blocks=[{"plain": ["g3"], "x": 1}])),
        "block 1: expected 1 to 16 graph names",
    ),
    "a stem of a wrong ratio": (document(in_channels=4), "stem, node %1"),
    "a transition that pools": (
        document(
            graphs={**json.loads(document())["graphs"], "p": ["%1 = global_average_pool %0", "return %1"]},
            stages=one_stage(entry="p"),
        ),
        "stage 1, transition: expected it to return a full feature map, got 16 channels, pooled",
    ),
    "a head that is an attention map": (
        document(head="p", graphs={**json.loads(document())["graphs"], "p": ["%1 = matmul_qk(head_dim=4) %0 %0", "return %1"]}),
        "head, node %1: a graph of the frame returns a feature map, got attention map of 8 heads",
    ),
    "a stride of zero": (document(graphs={"g1": ["%1 = conv(kernel=3, stride=0) %0", "return %1"]}), "from 1 to 64"),
    "a stride of a half": (document(graphs={"g1": ["%1 = max_pool(stride=1/2) %0", "return %1"]}), "from 1 to 64"),
    "an endless stride": (document(graphs={"g1": ["%1 = zero(stride=99999999999) %0", "return %1"]}), "from 1 to 65536"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_where_it_is_wrong(case: str) -> None:
    text, said = WRONG[case]
    with pytest.raises(InputError) as caught:
        parse(text, "net.json")
    assert str(caught.value).startswith("net.json: ")
    assert said in str(caught.value)


@given(SEEDS)
@examples(200)
def test_damaged_files_give_clear_errors_only(seed: int) -> None:
    """One value or key of a valid file replaced by another from anywhere in it."""
    rng = random.Random(seed)
    content = json.loads(document())
    places: list[tuple[object, object]] = []

    def collect(value: object) -> None:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):  # type: ignore[arg-type]
            places.append((value, key))
            if isinstance(inner, dict | list):
                collect(inner)

    collect(content)
    holder, key = rng.choice(places)
    other, index = rng.choice(places)
    holder[key] = rng.choice([other[index], None, -1, 1.5, "absent", [], {}, "%1 = conv(kernel=3, stride=64) %0"])  # type: ignore[index]
    try:
        text = json.dumps(content)
    except ValueError:  # a value put inside itself
        return
    try:
        cost(parse(text, "net.json"))
    except InputError as error:
        message = str(error)
    else:
        return
    assert "net.json" in message


@given(SEEDS)
@examples(30)
def test_walks_stay_well_typed(seed: int) -> None:
    rng = random.Random(seed)
    parent = canonicalise(framed(rng))
    for _ in range(12):
        made = mutate(parent, rng)
        if isinstance(made, Rejection):
            continue
        child, edit = made
        assert canonicalise(child) is child
        assert apply(parent, edit) == child
        assert parse(to_text(child)) == child
        parent = child
    with torch.device("meta"):
        assert module_params(build(parent)) == cost(parent).params
        assert executed_macs(build(parent, fused=False), parent.input_size, device="meta") == cost(parent).macs


def test_edits_change_plain_blocks_and_keep_their_kind() -> None:
    parent = network(plain(CONV), plain(CONV))
    edit = Edit("insert", 0, 1, 0, {"consumer": 0, "slot": 0, "fragment": "gelu"})
    child = apply(parent, edit)
    assert child == network(plain(CONV), plain(graph_of("%1 = conv(kernel=3) %0", "%2 = gelu %1", "return %2")))
    assert apply(child, Edit("drop_subblock", 0, 1)) == network(plain(CONV))
    assert apply(parent, Edit("copy_block", 0, 0, 0, {"from_stage": 0, "from_block": 1})) == Rejection(
        "no_change", "copy_block leaves the canonical form as it was"
    )
    assert apply(parent, crossover_edit(0, 1, plain(ZERO, CONV))) == network(plain(CONV), plain(ZERO, CONV))
    assert apply(parent, crossover_edit(0, 1, Block((None, CONV)))) == network(plain(CONV), Block((None, CONV)))
    wide = apply(network(plain(CONV), entry=DOWN), Edit("width", 0, 0, 0, {"width": 64}))
    assert isinstance(wide, Architecture)
    assert (wide.stages[0].width, wide.flows()[0]) == (64, network(plain(CONV), entry=DOWN).flows()[0])


def test_what_has_no_meaning_is_warned_of() -> None:
    small = graph_of("%1 = conv(kernel=3, stride=32) %0", "%2 = batch_norm %1", "%3 = max_pool %2", "return %3")
    assert warnings_of(network(plain(CONV), entry=small)) == [
        "stage 1, transition, %2 batch_norm: BatchNorm on a 1x1 map cannot train at batch 1",
        "stage 1, block 1, sub-block 1, %1 conv(kernel=3): only the centre of the kernel sees a 1x1 map",
    ]
    strided = graph_of("%1 = max_pool(stride=32) %0", "%2 = conv(kernel=1, stride=2) %1", "return %2")
    assert warnings_of(network(plain(IDENTITY), stem=STEM, head=strided)) == [
        "head, %2 conv(kernel=1, stride=2): a 1x1 map has nothing to stride over"
    ]
    pooled = graph_of("%1 = max_pool(stride=32) %0", "%2 = average_pool %1", "return %2")
    assert warnings_of(network(plain(IDENTITY), head=pooled)) == ["head, %2 average_pool: pooling a 1x1 map changes nothing"]
    assert warnings_of(network(plain(CONV), entry=DOWN, head=CONV)) == []


def test_relative_position_tables_have_their_strides_size() -> None:
    lines = [
        "%1 = max_pool(stride=4) %0",
        "%2 = matmul_qk(head_dim=4) %1 %1",
        "%3 = relative_position_bias %2",
        "%4 = softmax %3",
        "%5 = matmul_av %4 %1",
        "return %5",
    ]
    architecture = network(plain(IDENTITY), entry=graph_of(*lines))
    table = build(architecture).get_parameter("stages.0.entry.relative_position_bias_0.table")
    assert table.shape == (4, 2 * 6 - 1, 2 * 7 - 1)  # 21 x 26 at stride 4: 6 x 7
    assert cost(architecture).attention_tokens == 42
    assert cost(architecture, (8, 9)).attention_tokens == 2 * 3
    assert op("max_pool", stride=4).text == "max_pool(stride=4)"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_residual_blocks_of_any_number_of_sub_blocks_are_read_as_they_were_written(count: int) -> None:
    start = preset("resnet", widths=[8, 8, 8, 8], depths=[1, 1, 1, 1], stem=[4, 8], input_size=(32, 32), classes=3)
    graph = start.stages[0].blocks[0].subblocks[0]
    changed = start.with_block(1, 0, Block((graph, None, *[graph] * 3)[:count]))
    text = to_text(changed)
    assert parse(text) == changed
    assert parse(text).digest == changed.digest
    assert json.loads(text)["version"] == (1 if count == 2 else 2)
    module = build(changed).eval()
    assert module(torch.randn(1, 3, 32, 32)).shape == (1, 3)
    assert sum(parameter.numel() for parameter in module.parameters()) == cost(changed).params
    rng = random.Random(count)
    for _ in range(20):
        made = mutate(changed, rng)
        made = made if isinstance(made, Rejection) else made[0] if isinstance(made, tuple) else made
        assert isinstance(made, Rejection) or parse(to_text(made)) == made
