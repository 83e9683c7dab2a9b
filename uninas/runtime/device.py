"""The device that a command runs on, as the user names it."""

from __future__ import annotations

import torch

from uninas.errors import InputError

__all__ = ["device_of", "memory_of"]


def device_of(asked: str | None) -> torch.device:
    """Read a device's name; where None is asked, a GPU if there is one.

    Raises:
        InputError: not a device, or not one of this machine.
    """
    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
        found = torch.cuda.device_count()
        if device.type != "cuda":
            torch.empty(1, device=device)
        elif (device.index or 0) >= found:
            raise InputError(f"--device: expected a device of this machine; got {asked}, and torch finds {found} GPUs")
    except (RuntimeError, AssertionError) as error:  # of what torch does not know, or was built without
        said = str(error).partition("\n")[0]
        raise InputError(
            f"--device: expected a device that torch can use here, such as cpu, cuda or cuda:1; got {asked}: {said}"
        ) from None
    return device


def memory_of(device: torch.device) -> int:
    """Give the bytes of memory of a GPU."""
    return int(torch.cuda.get_device_properties(device).total_memory)
