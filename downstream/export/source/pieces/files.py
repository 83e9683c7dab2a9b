"""Weights from a file, where there is nothing but torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from torch import Tensor


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file: the length of its header in 8 bytes, the header as JSON, the tensors' bytes."""
    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}
    content = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    found = {}
    for name, entry in json.loads(content[8 : 8 + length]).items():
        if name != "__metadata__":
            kind, (begin, end) = kinds[entry["dtype"]], entry["data_offsets"]
            count = (end - begin) // kind.itemsize
            found[name] = torch.frombuffer(content, dtype=kind, count=count, offset=8 + length + begin).reshape(entry["shape"])
    return found
