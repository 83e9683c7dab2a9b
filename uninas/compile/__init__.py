"""Turn an architecture into a torch module: `build`. The only room of the space that knows torch.

`plan` and `layer_names` are plain Python, so torch is imported when `build` or `Network` is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uninas.compile.module import Network, build

__all__ = ["Network", "build"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from uninas.compile import module

        return getattr(module, name)
    raise AttributeError(f"module 'uninas.compile' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
