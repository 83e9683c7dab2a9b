"""Which modules count as blocks: what a network that knows its own says, the rule for all others, and reading their maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from proxies.errors import ProxyFailure
from proxies.measuring.layers import offered

__all__ = ["block_outputs", "channels_last", "watch_blocks"]

_CONTAINERS = (nn.Sequential, nn.ModuleList)


def block_outputs(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """The blocks whose outputs the feature proxies read.

    A module that has a method ``block_outputs()`` is asked. Any other is served by the default rule, the children of its
    top-level stages. Call a module compound if it contains a convolution or linear layer and is not one itself.

    1. A stage is a compound child of the network that is a ``Sequential`` or ``ModuleList``, or has compound children.
    2. A stage's compound children are blocks (ResNet's ``layer1``, RegNet's ``s1``, a vision transformer's ``blocks``).
    3. A child that is itself a container, or keeps one called ``blocks`` or ``layers``, is a stage too and opened in the same
       way (EfficientNet's ``blocks.0``, ConvNeXt's ``stages.0.blocks``).
    4. Where this finds nothing (a plain stack of layers), the network's children with convolution or linear layers are the
       blocks.

    Returns:
        Pairs of a name and the module, in the order of definition.

    Raises:
        ProxyUsageError: the module's own method returned something else than pairs of a name and a module.
    """
    if hasattr(module, "block_outputs"):
        return offered(module, "block_outputs")
    blocks: list[tuple[str, nn.Module]] = []
    for name, part in module.named_children():
        if _compound(part) and (isinstance(part, _CONTAINERS) or any(map(_compound, part.children()))):
            _open(name, part, blocks)
    if not blocks:
        blocks = [(name, child) for name, child in module.named_children() if _layers(child)]
    return blocks


def _open(name: str, stage: nn.Module, blocks: list[tuple[str, nn.Module]]) -> None:
    for key, child in stage.named_children():
        if not _compound(child):
            continue
        inner = child if isinstance(child, _CONTAINERS) else None
        for attribute in ("blocks", "layers"):
            if inner is None and isinstance(getattr(child, attribute, None), _CONTAINERS):
                key, inner = f"{key}.{attribute}", getattr(child, attribute)
        if inner is not None and any(map(_compound, inner.children())):
            _open(f"{name}.{key}", inner, blocks)
        else:
            blocks.append((f"{name}.{key}", child))


def _layers(module: nn.Module) -> bool:
    return any(isinstance(submodule, (nn.Conv2d, nn.Linear)) for submodule in module.modules())


def _compound(module: nn.Module) -> bool:
    return _layers(module) and not isinstance(module, (nn.Conv2d, nn.Linear))


@contextmanager
def watch_blocks(
    module: nn.Module,
    enter: Callable[[str, Tensor], None],
    leave: Callable[[str, Tensor], None],
    unreadable: Callable[[ProxyFailure], None],
) -> Iterator[None]:
    """Call ``enter(name, input)`` before and ``leave(name, output)`` after each call of a block.

    The input is the block's first positional argument, the output its result or, of a tuple, the first entry. Where the input is
    a list (DLA's nodes, which join the outputs of several blocks) the call is passed over: there is no one map that it changes.
    Reported to ``unreadable``: a network without blocks (``no_blocks``), and an output that is no tensor (``block_signature``).
    """
    blocks = block_outputs(module)
    if not blocks:
        unreadable(ProxyFailure("no_blocks", f"{type(module).__name__} has no children with convolution or linear layers"))
    names = {id(block): name for name, block in blocks}

    def before(block: nn.Module, arguments: tuple[object, ...]) -> None:
        if arguments and isinstance(arguments[0], Tensor):
            enter(names[id(block)], arguments[0])

    def after(block: nn.Module, arguments: tuple[object, ...], output: object) -> None:
        if not (arguments and isinstance(arguments[0], Tensor)):
            return
        name = names[id(block)]
        first = output[0] if isinstance(output, tuple) and output else output
        if isinstance(first, Tensor):
            leave(name, first)
        else:
            unreadable(ProxyFailure("block_signature", f"block {name!r} returns {type(output).__name__}, expected a tensor"))

    handles = []
    try:
        for _, block in blocks:
            handles.append(block.register_forward_pre_hook(before))
            handles.append(block.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()


def channels_last(name: str, feature: Tensor, output_format: str) -> Tensor:
    """A feature map with its channels in the last dimension: ``(batch, *positions, channels)``.

    Four dimensions are read as ``(batch, channels, height, width)``, unless the network says ``output_fmt = "NHWC"`` (timm's
    convention); three are read as tokens ``(batch, tokens, channels)``; two as one position.

    Raises:
        ProxyFailure: ``block_shape``: another number of dimensions.
    """
    if feature.dim() == 4:
        return feature if output_format == "NHWC" else feature.permute(0, 2, 3, 1)
    if feature.dim() == 3:
        return feature
    if feature.dim() == 2:
        return feature.unsqueeze(1)
    raise ProxyFailure("block_shape", f"block {name!r} has a map of shape {tuple(feature.shape)}: expected 2 to 4 dimensions")
