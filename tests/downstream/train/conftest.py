"""OpenMMLab lays each configuration out four times before it trains, for a second and a half: the quick run does without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.amounts import quick


@pytest.fixture(scope="package", autouse=True)
def plain_configurations() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if quick():
            formatter = pytest.importorskip("yapf.yapflib.yapf_api", reason="OpenMMLab is not installed: make test builds it")

            def as_it_is(text: str, **style: Any) -> tuple[str, bool]:
                return text, False

            patch.setattr(formatter, "FormatCode", as_it_is)
        yield
