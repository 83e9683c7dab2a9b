"""Randomness as an argument: every stream is derived from a seed and the name of what it is for.

Streams live on the CPU, so a value does not depend on the device that later holds it, and streams with different names are
independent, so adding one never shifts another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from proxies.errors import ProxyUsageError

__all__ = ["another_batch", "derive_seed", "generator", "input_batch", "repeat_seeds", "signs"]


def derive_seed(seed: int, *place: object) -> int:
    """The 63-bit seed of a named stream: a BLAKE2b digest of the seed and the place.

    The digest does not depend on the process (unlike ``hash``), and the parts are quoted, so ``("a", "b")`` and
    ``("ab",)`` are different places.
    """
    text = repr((int(seed), *(str(part) for part in place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *place: object) -> torch.Generator:
    """A CPU generator at the start of the stream of a place."""
    return torch.Generator(device="cpu").manual_seed(derive_seed(seed, *place))


def repeat_seeds(seed: int, repeats: int) -> tuple[int, ...]:
    """Seeds of ``repeats`` independent scorings: the first is the seed itself, so one repeat is a plain scoring."""
    if repeats < 1:
        raise ProxyUsageError(f"repeats: expected at least 1, got {repeats}")
    return (seed, *(derive_seed(seed, "repeat", index) for index in range(1, repeats)))


def input_batch(
    input_shape: Sequence[int],
    batch: int,
    seed: int,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """A batch of white noise, each entry from N(0, 1).

    Args:
        input_shape: shape of one sample, such as ``(3, 224, 224)``.
        batch: number of samples, at least 1.
        seed: the scoring's seed; equal seeds give equal batches on every device.
        device: where the batch ends up; it is always drawn on the CPU in float32.
        dtype: the floating type of the result.

    Returns:
        A tensor of shape ``(batch, *input_shape)``.
    """
    if batch < 1:
        raise ProxyUsageError(f"batch: expected at least 1, got {batch}")
    if not input_shape or min(input_shape) < 1:
        raise ProxyUsageError(f"input_shape: expected positive sizes such as (3, 224, 224), got {tuple(input_shape)}")
    noise = torch.randn((batch, *input_shape), generator=generator(seed, "input"), dtype=torch.float32)
    return noise.to(device=device, dtype=dtype)


def another_batch(inputs: Tensor, seed: int) -> Tensor:
    """White noise of another seed with the shape, device, type and memory layout of ``inputs``."""
    return torch.empty_like(inputs).copy_(input_batch(inputs.shape[1:], len(inputs), seed))


def signs(shape: Sequence[int], stream: torch.Generator) -> Tensor:
    """Independent signs, +1 or -1 with probability one half each, as a float32 CPU tensor of the given shape."""
    return torch.randint(0, 2, tuple(shape), generator=stream, dtype=torch.float32).mul_(2).sub_(1)
