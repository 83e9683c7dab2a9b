"""The architecture file: what is written is read back, and what is wrong is refused in one line that says where."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.amounts import examples
from tests.uninas.examples import around, graph_of, small, walked
from uninas import IDENTITY, PRESETS, Architecture, Block, InputError, Stage, canonicalise, parse, parse_op, preset, to_text
from uninas.attributes import Attribute
from uninas.ops import TABLE, op


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_their_text(name: str) -> None:
    for network in (preset(name), canonicalise(preset(name)), preset(name, classes=3, input_size=(65, 33))):
        assert parse(to_text(network)) == network
        assert parse(to_text(network)).digest == network.digest


def test_every_field_survives() -> None:
    network = Architecture(
        (Stage(48, (Block((IDENTITY, None)), Block((None, IDENTITY)))), Stage(64, (Block((None, None)),))),
        classes=17,
        input_size=(31, 77),
        stem=(5, 9),
        in_channels=4,
    )
    assert parse(to_text(network, metadata={"score": 1.5, "from": ["walk", None]})) == network


def test_equal_graphs_are_written_once_and_texts_are_stable() -> None:
    text = to_text(preset("coatnet"))
    assert text == to_text(parse(text))
    assert len(json.loads(text)["graphs"]) == 4
    assert max(map(len, text.split("\n"))) < 100, "one line a node: files can be read and compared"


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_operation_reads_what_it_prints(name: str) -> None:
    needed = {
        "conv": "(kernel=5, ratio=3/2, groups=2, bias=false, dilation=4, stride=2, columns=3)",
        "slice": "(index=1, count=3)",
        "matmul_qk": "(head_dim=64)",
        "dropout": "(p=0.25)",
        "mask": "(band=7)",
        "max_pool": "(kernel=5, stride=2)",
        "zero": "(ratio=1/8, pooled=true, stride=4)",
        "average_pool": "(kernel=2, stride=2)",
        "group_norm": "(groups=8)",
        "layer_scale": "(initial=1/10)",
        "drop_path": "(p=0.2)",
        "space_to_depth": "(factor=4)",
    }
    operation = parse_op(name + needed.get(name, ""))
    assert parse_op(operation.text) is operation
    assert operation.text == name + needed.get(name, "")


_WORDS = [str(n) for n in (*range(70), 127, 500, 4096, 65535, 65536)] + [
    "007",
    "true",
    "false",
    "same",
    "depthwise",
    "pixels",
    "channels",
]


def _taken(attribute: Attribute, text: str) -> bool:
    try:
        attribute.read(text)
    except InputError:
        return False
    return True


def _texts(attribute: Attribute) -> st.SearchStrategy[str]:
    """Texts that an attribute's reader takes: decimals, ratios, or integers and words."""
    for example, pattern in (("0.5", r"0(\.0{0,6}[0-9]{1,18})?"), ("9/7", r"[1-9][0-9]{0,6}(/[1-9][0-9]{0,6})?")):
        if _taken(attribute, example):
            return st.from_regex(pattern, fullmatch=True).filter(lambda text: _taken(attribute, text))
    return st.sampled_from([word for word in _WORDS if _taken(attribute, word)])


@pytest.mark.parametrize("name", sorted(name for name in TABLE if TABLE[name].attributes))
@given(data=st.data())
@examples(100)
def test_an_operation_with_any_attributes_reads_what_it_prints(name: str, data: st.DataObject) -> None:
    written = {attribute.name: data.draw(_texts(attribute), attribute.name) for attribute in TABLE[name].attributes}
    operation = parse_op(f"{name}({', '.join(f'{key}={text}' for key, text in written.items())})")
    assert parse_op(operation.text) is operation
    assert pickle.loads(pickle.dumps(operation)) is operation
    assert op(name, **operation.values) is operation


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("0", "0.0"),
        ("0.5", None),
        ("0.250", "0.25"),
        ("0.2", "0.2"),
        ("0.0001", "0.0001"),
        ("0.00005", "0.00005"),
        ("0.000001", "0.000001"),
        ("0.123456789", "0.123456789"),
        ("0.30000000000000004", "0.30000000000000004"),
        ("0.000012345678901234568", "0.000012345678901234568"),
        ("0.9999999999999999", "0.9999999999999999"),
    ],
)
def test_probabilities_are_plain_decimals(text: str, printed: str | None) -> None:
    """Never 5e-05, which no reader takes; what had no exponent is written as ever, for digests are made of it."""
    operation = parse_op(f"dropout(p={text})")
    assert operation.text == ("dropout" if printed is None else f"dropout(p={printed})")
    assert parse_op(operation.text) is operation
    network = around(graph_of(f"%1 = dropout(p={text}) %0", "return %1"))
    assert parse(to_text(network)) == network
    assert operation.values["p"] == float(text)


@pytest.mark.parametrize("text", ["1", "1.0", "0.99999999999999999", "5e-05", "-0.1", ".5", "0.", "0." + "0" * 24 + "1", "inf"])
def test_what_is_no_probability_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="probability from 0 to below 1") as caught:
        parse_op(f"dropout(p={text})")
    assert text[:40] in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "conv",
        "conv()",
        "conv(kernel=0)",
        "conv(kernel=33)",
        "conv(kernel=3, kernel=3)",
        "conv(kernel=3, wide=1)",
        "conv(kernel=3, ratio=0)",
        "conv(kernel=3, ratio=1/0)",
        "conv(kernel=3, ratio=-1)",
        "conv(kernel=3, bias=1)",
        "conv(kernel=3, groups=0)",
        "conv(kernel=3",
        "conv kernel=3",
        "Conv(kernel=3)",
        "gelu(p=1)",
        "dropout(p=1)",
        "dropout(p=nan)",
        "slice(index=0)",
        "matmul_qk(head_dim=0)",
        "conv(kernel=((3)))",
        "no_such_op",
        "conv(kernel=٣)",
    ],
)
def test_what_is_no_operation_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected|needs|unknown|no attribute"):
        parse_op(text)


def document(**changes: Any) -> dict[str, Any]:
    """A small valid file's content, with some keys changed (None: left out)."""
    made = json.loads(to_text(around(graph_of("%1 = conv(kernel=3) %0", "%2 = gelu %1", "return %2"))))
    made.update(changes)
    return {key: value for key, value in made.items() if value is not None}


def stages(width: Any = 32, blocks: Any = (("g1", "absent"),)) -> list[dict[str, Any]]:
    return [{"width": width, "blocks": blocks}]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no format": (document(format=None), "format"),
    "another format": (document(format="onnx"), "uninas-architecture"),
    "a newer version": (document(version=5), "upgrade"),
    "version zero": (document(version=0), "version"),
    "a version that is a text": (document(version="1"), "version"),
    "an unknown key": (document(colour="red"), "colour"),
    "no stages": (document(stages=[]), "stages"),
    "too many stages": (document(stages=stages() * 17), "stages"),
    "stages that are a mapping": (document(stages={}), "stages"),
    "a stage that is a number": (document(stages=[3]), "stage 1"),
    "a width of zero": (document(stages=stages(0)), "width"),
    "a width that is huge": (document(stages=stages(10**12)), "width"),
    "a width that is true": (document(stages=stages(True)), "width"),
    "a width of a half": (document(stages=stages(32.0)), "width"),
    "no blocks": (document(stages=stages(32, [])), "blocks"),
    "too many blocks": (document(stages=stages(32, [["g1", "g1"]] * 1001)), "blocks"),
    "a block of one": (document(stages=stages(32, [["g1"]])), "block 1"),
    "a block of three": (document(stages=stages(32, [["g1", "g1", "g1"]])), "block 1"),
    "a graph that does not exist": (document(stages=stages(32, [["g1", "g9"]])), "g9"),
    "classes missing": (document(classes=None), "classes"),
    "no classes": (document(classes=0), "classes"),
    "input size of one number": (document(input_size=[224]), "input_size"),
    "input size of zero": (document(input_size=[0, 224]), "input_size"),
    "a stem that is a text": (document(stem="32, 64"), "stem"),
    "graphs that are a list": (document(graphs=[]), "graphs"),
    "a graph that is a text": (document(graphs={"g1": "return %0"}), "g1"),
    "an empty graph": (document(graphs={"g1": []}), "g1"),
    "no return": (document(graphs={"g1": ["%1 = gelu %0"]}), "return"),
    "a return to nowhere": (document(graphs={"g1": ["return %7"]}), "return"),
    "a cycle": (document(graphs={"g1": ["%1 = gelu %2", "%2 = gelu %1", "return %2"]}), "cycle"),
    "a node that reads itself": (document(graphs={"g1": ["%1 = gelu %1", "return %1"]}), "cycle"),
    "wrong numbering": (document(graphs={"g1": ["%2 = gelu %0", "return %0"]}), "%1"),
    "an unknown operation": (document(graphs={"g1": ["%1 = relu9 %0", "return %1"]}), "relu9"),
    "an unknown attribute": (document(graphs={"g1": ["%1 = gelu(a=1) %0", "return %1"]}), "'a'"),
    "a second input": (document(graphs={"g1": ["%1 = input", "return %1"]}), "input"),
    "no inputs": (document(graphs={"g1": ["%1 = add", "return %1"]}), "add"),
    "a line that is a number": (document(graphs={"g1": [1, "return %0"]}), "g1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_where_it_is_wrong(case: str) -> None:
    content, said = WRONG[case]
    with pytest.raises(InputError) as caught:
        parse(json.dumps(content), "net.json")
    message = str(caught.value)
    assert message.startswith("net.json")
    assert said in message
    assert len(message) < 500


ILL_TYPED = {
    "too few inputs": (["%1 = matmul_qk(head_dim=8) %0", "return %1"], "%1"),
    "two inputs for one": (["%1 = gelu %0 %0", "return %1"], "%1"),
    "unequal sum": (["%1 = conv(kernel=1, ratio=2) %0", "%2 = add %0 %1", "return %2"], "%2"),
    "channels that do not divide": (["%1 = conv(kernel=1, ratio=1/7) %0", "return %1"], "%1"),
    "groups that do not divide": (["%1 = conv(kernel=3, groups=5) %0", "return %1"], "%1"),
    "a slice that does not divide": (["%1 = slice(index=0, count=5) %0", "return %1"], "%1"),
    "a slice past the end": (["%1 = slice(index=4, count=4) %0", "return %1"], "%1"),
    "heads that do not divide": (["%1 = matmul_qk(head_dim=5) %0 %0", "return %1"], "%1"),
    "an attention map returned": (["%1 = matmul_qk(head_dim=8) %0 %0", "return %1"], "%1"),
    "a convolution of a map": (["%1 = matmul_qk(head_dim=8) %0 %0", "%2 = conv(kernel=1) %1", "return %2"], "%2"),
    "a bias on a feature map": (["%1 = relative_position_bias %0", "return %1"], "%1"),
    "a full map broadcast": (["%1 = broadcast %0", "return %1"], "%1"),
    "a pooled map returned": (["%1 = global_average_pool %0", "return %1"], "%1"),
    "full and pooled together": (["%1 = global_average_pool %0", "%2 = concat %0 %1", "return %2"], "%2"),
    "other channels returned": (["%1 = conv(kernel=1, ratio=2) %0", "return %1"], "%1"),
    "values of other heads": (
        [
            "%1 = matmul_qk(head_dim=8) %0 %0",
            "%2 = slice(index=0, count=16) %0",
            "%3 = matmul_av %1 %2",
            "%4 = conv(kernel=1, ratio=16) %3",
            "return %4",
        ],
        "%3",
    ),
    "channels without bound": ([*(f"%{i} = conv(kernel=1, ratio=65536) %{i - 1}" for i in range(1, 9)), "return %8"], "%2"),
}


@pytest.mark.parametrize("case", ILL_TYPED)
def test_an_ill_typed_file_names_stage_block_and_node(case: str) -> None:
    lines, node = ILL_TYPED[case]
    fine = ["return %0"]
    content = document(
        graphs={"fine": fine, "wrong": lines},
        stages=[{"width": 32, "blocks": [["fine", "absent"]]}, {"width": 32, "blocks": [["fine", "fine"], ["fine", "wrong"]]}],
    )
    with pytest.raises(InputError) as caught:
        parse(json.dumps(content), "net.json")
    assert str(caught.value).startswith(f"net.json: stage 2, block 2, sub-block 2, node {node}: ")


def test_an_empty_list_of_inputs_is_no_sum() -> None:
    with pytest.raises(InputError, match="one or more"):
        parse(json.dumps(document(graphs={"g1": ["%1 = add", "return %1"]})))


_SOURCES = [to_text(small(name)) for name in sorted(PRESETS)] + [
    to_text(walked(small(), random.Random(seed), 10), {"note": "x"}) for seed in range(4)
]
