"""Text files of other people are read for what they say, or are an error before they take memory or time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.search.conftest import ROOT
from uninas.files.reading import parse_json, parse_yaml, read_json, read_text


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes("ä".encode() * 5)
    assert read_text(tmp_path / "file", 10) == "ä" * 5
    with pytest.raises(ValueError, match="expected at most 9 bytes; it is larger"):
        read_text(tmp_path / "file", 9)
    with pytest.raises(ValueError, match="expected at most 9 bytes"):
        read_json(tmp_path / "file", 9)
    (tmp_path / "file").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="utf-8"):
        read_text(tmp_path / "file")


def test_other_packages_open_text_as_utf8(tmp_path: Path) -> None:
    """Under a locale of bytes, where `open` reads something else or nothing at all."""
    (tmp_path / "names").write_text("Bär 猫", encoding="utf-8")
    code = (
        "import sys\n"
        "from uninas.files.reading import opened_as_utf8\n"
        "def reads():\n"
        "    try:\n"
        "        return open(sys.argv[1]).read() == 'B\\xe4r \\u732b'\n"
        "    except UnicodeDecodeError:\n"
        "        return False\n"
        "with opened_as_utf8():\n"
        "    inside = reads()\n"
        "print(inside, reads())\n"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-c", code, str(tmp_path / "names")]
    made = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, check=True)
    assert made.stdout.split() == [b"True", b"False"]


def test_json_is_read() -> None:
    assert parse_json('{"a": [1, 2.5, {"a": null}], "b": {"a": 1}}') == {"a": [1, 2.5, {"a": None}], "b": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 1}', "the key 'a' is given twice"),
        ('[{"b": {"x": 1, "a": 2, "x": 3}}]', "the key 'x' is given twice"),
        ("[" * 200_000, "nested too deep"),
        ('{"a":' * 200_000, "nested too deep"),
        ("9" * 5000, "digits"),
        ("{", "Expecting"),
        ("", "Expecting"),
    ],
)
def test_json_that_is_none_is_a_value_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("064", 64),
        ("-010", -10),
        ("08", "08"),  # text here as in YAML 1.1; where a number is expected it is read as one
        ("0", 0),
        ("007", 7),
        ("1_000", 1000),
        ("0x1F", 31),
        ("0b101", 5),
        ("+5", 5),
        ("1:30", "1:30"),
        ("16:16:32", "16:16:32"),
        ("1:30.5", "1:30.5"),
        ("1.5", 1.5),
        ("-.5e+3", -500.0),
        (".inf", float("inf")),
        ("1e6", "1e6"),
        ("yes", True),
        ("~", None),
        ("'010'", "010"),
        ("", None),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("9" * 100, int("9" * 100)),
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("a: &x {c: 1}\nb: {<<: *x, d: 2}\n", {"a": {"c": 1}, "b": {"c": 1, "d": 2}}),
    ],
)
def test_yaml_is_read_as_people_mean_it(text: str, value: Any) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    "value", ["010", "08", "1:30", "0x10", "1e6", "yes", "1_0", 10, 0, -7, 1.5, True, None, 10**20, "ä", "a: b"]
)
def test_what_is_written_is_read_back(value: Any) -> None:
    assert parse_yaml(yaml.safe_dump({"key": [value]})) == {"key": [value]}


NINE = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
MERGED = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{','.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a\n  b: *a\n", "line 1: an alias stands within what it repeats"),
        ("&a [*a]", "line 1: an alias stands within"),
        ("&a {*a : 1}", "an alias stands within"),
        (NINE, "expected at most 100,000 values; aliases count as often as they repeat"),
        (MERGED, "expected at most 100,000 values"),
        ("a: 1\nb: 2\na: 3\n", "line 1: the key 'a' is given twice"),
        ("9" * 101, "line 1: a whole number of at most 100 digits"),
        ("a: " + "9" * 10_000, "line 1: a whole number of at most 100 digits"),
        ("0x" + "F" * 10_000, "line 1: a whole number of at most 100 digits"),
        ("0x_", "invalid literal"),
        ("2001-99-99", "month must be in"),
        ("!!timestamp a", "not of its type"),
        ("!!int a", "invalid literal"),
        ("!!bool a", "not of its type"),
        ("!!float a", "could not convert"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("[" * 3000, "nested too deep"),
        ("{? [1] : 2}", "unhashable"),
        ("a\x00b", "unacceptable character"),
        ("--- 1\n--- 2\n", "but found another document"),
        ("a" * (1 << 21), "expected at most 1,048,576 characters"),
    ],
)
def test_yaml_that_is_none_is_a_value_error(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        parse_yaml(text)
    assert "\n" not in str(raised.value)


def test_many_keys_take_no_time_of_their_number_squared() -> None:
    keys = 40_000
    assert len(parse_yaml("{" + ",".join(f"k{number}: 1" for number in range(keys)) + "}")) == keys
