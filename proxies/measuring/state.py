"""Leaving a model as it was found, and computing under conditions that do not vary.

Every proxy works inside :func:`scoring`; :func:`prepared` also supplies fresh weights and a batch on a device.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from proxies.errors import ProxyFailure, ProxyUsageError
from proxies.measuring.attributes import kept, switches_by_itself
from proxies.measuring.initialise import initialise
from proxies.measuring.plain import check_plain
from proxies.measuring.seeds import derive_seed, input_batch

__all__ = ["exact_arithmetic", "in_mode", "lent", "placed", "prepared", "run", "scoring"]


@contextmanager
def scoring(module: nn.Module, *, train: bool, seed: int = 0) -> Iterator[None]:
    """Hold ``module`` still for one measurement, and give it back unchanged.

    Inside: every submodule is in training mode or every one in evaluation mode; no parameter asks for a gradient (a proxy
    that differentiates does so through the input or through layer outputs); gradients are out of sight; buffers are
    clones, so batch statistics can move; nothing is dropped: the rate of every dropout and drop-path module is 0 and the
    module is in evaluation mode (a functional dropout inside somebody's own forward follows its owner's mode and cannot be seen);
    arithmetic is as in :func:`exact_arithmetic`; torch's global random streams start from ``seed``; what a submodule keeps beside
    its parameters and buffers is as :func:`in_mode` says.

    After, also when an exception passes: modes, dropout rates, buffers (the same tensor objects, bit for bit), attributes,
    ``requires_grad`` flags, gradients and the global random streams are what they were.

    Args:
        module: the network; its parameters' values are not touched.
        train: training mode (batch statistics couple the samples) or evaluation mode.
        seed: what stochastic modules that are no dropout would draw from.
    """
    _settle_allocator()
    with ExitStack() as stack:
        stack.enter_context(_seeded(module, seed))
        stack.enter_context(exact_arithmetic())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(_own_buffers(module))
        stack.enter_context(_frozen(module))
        stack.enter_context(in_mode(module, train=train))
        yield


@contextmanager
def lent(module: nn.Module, *, seed: int) -> Iterator[None]:
    """Lend ``module`` to a function that promises nothing, and take it back as it was.

    Inside: every submodule is in training mode and nothing is dropped; every floating parameter asks for a gradient and has none;
    parameters and buffers are copies, free to be changed; gradients are recorded; arithmetic is as in :func:`exact_arithmetic`;
    torch's global random streams start from ``seed``. After, also when an exception passes, all of it is what it was, attributes
    too. Hooks that the function adds are its own to remove.
    """
    _settle_allocator()
    flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
    try:
        with (
            _seeded(module, seed),
            exact_arithmetic(),
            torch.inference_mode(False),
            placed(module, copy=True),
            in_mode(module, train=True),
            torch.enable_grad(),
        ):
            for parameter, _ in flags:
                parameter.requires_grad_(parameter.is_floating_point())
            yield
    finally:
        _set_flags(flags)


@contextmanager
def _seeded(module: nn.Module, seed: int) -> Iterator[None]:
    """Start torch's global random streams, on the CPU and the module's devices, from a seed, and put them back at the end."""
    cuda = {tensor.device for tensor in module.parameters() if tensor.device.type == "cuda"}
    with torch.random.fork_rng(devices=sorted(cuda, key=str)):
        torch.default_generator.manual_seed(derive_seed(seed, "global"))
        for device in cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(derive_seed(seed, "global"))
        yield


@functools.cache
def _settle_allocator() -> None:
    """Once per process: have the C library keep the memory that a pass frees for the next pass.

    Thousands of activations of a megabyte are allocated and freed. By default glibc returns each to the system when it is freed
    and takes it again page by page, a sixth of a small network's scoring time. It learns from the largest block ever freed, up to
    32 MiB: one block just below, never written to and so without a page behind it, teaches it. Elsewhere this does nothing.
    """
    torch.empty(2**25 - 2**16, dtype=torch.uint8)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Full float32 products, deterministic convolutions and no fused inference path of torch's attention.

    TF32, bfloat16 and the caller's autocast are off for matrix products and convolutions, cuDNN neither benchmarks nor picks
    nondeterministic algorithms, and ``nn.MultiheadAttention``'s fast path, which calls no submodule and so would hide layers, is
    off. All are global settings of torch: they are put back at the end.
    """
    precision, fastpath = torch.get_float32_matmul_precision(), torch.backends.mha.get_fastpath_enabled()
    torch.set_float32_matmul_precision("highest")
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with ExitStack() as stack:
            for kind in ("cpu", "cuda"):
                if torch.is_autocast_enabled(kind):
                    stack.enter_context(torch.autocast(kind, enabled=False))
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False))
            yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.backends.mha.set_fastpath_enabled(fastpath)


@contextmanager
def _own_buffers(module: nn.Module) -> Iterator[None]:
    clones: dict[int, Tensor] = {}  # by identity: a buffer that two modules share stays shared
    found: list[tuple[nn.Module, str, Tensor]] = []
    for submodule in module.modules():
        for name, buffer in submodule._buffers.items():
            if buffer is not None:
                found.append((submodule, name, buffer))
    for submodule, name, buffer in found:
        submodule._buffers[name] = clones.setdefault(id(buffer), buffer.detach().clone())
    try:
        yield
    finally:
        for submodule, name, buffer in found:
            submodule._buffers[name] = buffer


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    found = [(parameter, parameter.requires_grad, parameter.grad) for parameter in module.parameters()]
    for parameter, _, _ in found:
        parameter.requires_grad_(False)
        parameter.grad = None
    try:
        yield
    finally:
        for parameter, flag, gradient in found:
            parameter.requires_grad_(flag)
            parameter.grad = gradient


@contextmanager
def in_mode(module: nn.Module, *, train: bool) -> Iterator[None]:
    """Hold every submodule in training or in evaluation mode, with nothing dropped; modes and rates are restored at the end.

    What submodules keep in plain attributes is put back at the end, see :func:`proxies.measuring.attributes.kept`. A class that
    does something of its own when its mode is set is told so, by way of training mode: what it kept of other weights is then
    forgotten, and what its passes need is made of the present ones. It gets copies of the parameters, which it may fold into
    each other.
    """
    with _told(module, train):
        # Flags are set one by one: an overridden train() may leave a part of the network in evaluation mode.
        for submodule in module.modules():
            submodule.training = train
            for rate in _dropout_rates(submodule):
                setattr(submodule, rate, 0.0)
                if not isinstance(submodule, nn.MultiheadAttention):
                    submodule.training = False
        yield


@contextmanager
def _told(module: nn.Module, mode: bool) -> Iterator[None]:
    """Tell the mode to the classes that do something of their own then; what becomes of attributes inside is forgotten."""
    modes = [(submodule, submodule.training) for submodule in module.modules()]
    with ExitStack() as stack:
        stack.enter_context(kept(module))  # dropout rates among the rest
        stack.callback(_set_modes, modes)
        switching = [submodule for submodule, _ in modes if switches_by_itself(submodule)]
        if switching:
            flags = [(parameter, parameter.requires_grad) for parameter in module.parameters()]
            stack.callback(_set_flags, flags)
            stack.enter_context(placed(module, copy=True))
            for submodule in switching:
                submodule.train(True)
                submodule.train(mode)
            _set_flags(flags)  # whoever freezes a part of a network for training does not decide what is measured
        yield


def _set_modes(modes: list[tuple[nn.Module, bool]]) -> None:
    for submodule, mode in modes:
        submodule.training = mode


def _set_flags(flags: list[tuple[nn.Parameter, bool]]) -> None:
    for parameter, flag in flags:
        parameter.requires_grad_(flag)


def _dropout_rates(submodule: nn.Module) -> list[str]:
    if isinstance(submodule, _DropoutNd):
        return ["p"]
    if isinstance(submodule, nn.MultiheadAttention):
        return ["dropout"]
    # Stochastic depth has no class in torch; its modules elsewhere are parameter-free and keep a float drop_prob.
    if isinstance(getattr(submodule, "drop_prob", None), float) and not any(True for _ in submodule.parameters()):
        return ["drop_prob"]
    return []


@contextmanager
def placed(
    module: nn.Module,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    copy: bool = False,
    channels_last: bool = False,
) -> Iterator[None]:
    """Move the parameters and buffers of ``module`` to a device, floating type and memory layout for a while.

    The tensors that it holds at the start, gradients included, are set aside and put back at the end, so nothing is rounded
    by the journey, and with ``copy`` whatever happens to the values inside is forgotten.

    Args:
        module: a network with materialised parameters.
        device: where to compute; None leaves each tensor where it is.
        dtype: floating type of the floating tensors; None leaves it.
        copy: work on copies even where nothing has to move.
        channels_last: lay out tensors of four dimensions with the channels innermost.

    Raises:
        ProxyUsageError: a parameter is on the meta device and has no values to move.
    """
    parameters = [(parameter, parameter.data, parameter.grad) for parameter in module.parameters()]
    buffers = [
        (owner, name, buffer) for owner in module.modules() for name, buffer in owner._buffers.items() if buffer is not None
    ]
    if any(data.is_meta for _, data, _ in parameters):
        raise ProxyUsageError("the module is on the meta device: materialise it first, for instance with to_empty()")

    def moved(tensor: Tensor) -> Tensor:
        layout = torch.channels_last if channels_last and tensor.dim() == 4 else torch.preserve_format
        return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None, copy=copy, memory_format=layout)

    try:
        with torch.inference_mode(False), torch.no_grad():  # a copy made in inference mode could not be differentiated by
            moves = {id(buffer): moved(buffer) for _, _, buffer in buffers}
            for parameter, data, _ in parameters:
                parameter.grad = None  # it must not outlive a change of its parameter's device or type
                parameter.data = moved(data)
        for owner, name, buffer in buffers:
            owner._buffers[name] = moves[id(buffer)]
        yield
    finally:
        for parameter, data, gradient in parameters:
            parameter.data = data
            parameter.grad = gradient
        for owner, name, buffer in buffers:
            owner._buffers[name] = buffer


@contextmanager
def prepared(
    module: nn.Module,
    *,
    input_shape: Sequence[int],
    batch: int = 64,
    seed: int,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Iterator[Tensor]:
    """A freshly initialised network and its batch of noise, on a device; its own weights are restored at the end.

    Submodules whose class does something of its own when their mode is set, see :func:`in_mode`, are in training mode.
    Maps are laid out with the channels innermost: on processors convolutions, pools and norms of narrow networks then take less
    than half the time.

    Args:
        module: any network; see :func:`proxies.measuring.initialise` for the values it gets.
        input_shape: shape of one sample, such as ``(3, 224, 224)``.
        batch: number of samples.
        seed: decides weights and batch.
        device: where to compute.
        dtype: floating type of the network's arithmetic.

    Yields:
        The batch, shape ``(batch, *input_shape)``.

    Raises:
        ProxyUsageError: no plain module, see :func:`proxies.measuring.plain.check_plain`.
    """
    check_plain(module)
    # Of the caller's settings none may show, not in what a proxy does with the results of its passes either.
    with (
        exact_arithmetic(),
        torch.inference_mode(False),
        placed(module, device=device, dtype=dtype, copy=True, channels_last=True),
        _told(module, True),  # before there are new values: old ones may be folded into each other
    ):
        initialise(module, seed)
        inputs = input_batch(input_shape, batch, seed, device=device, dtype=dtype)
        yield inputs.contiguous(memory_format=torch.channels_last) if inputs.dim() == 4 else inputs


def run(module: nn.Module, inputs: Tensor) -> Tensor:
    """The network's output for a batch, checked to be logits.

    Returns:
        A tensor of shape ``(batch, classes)``.

    Raises:
        ProxyFailure: ``batch_norm_one_value`` where training-mode batch statistics have one value only, or
            ``output_shape`` where the output is no ``(batch, classes)`` tensor.
    """
    try:
        output = module(inputs)
    except ValueError as error:
        if "more than 1 value per channel" in str(error):
            raise ProxyFailure("batch_norm_one_value", str(error)) from error
        raise
    if not isinstance(output, Tensor) or output.dim() != 2 or output.shape[0] != inputs.shape[0]:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ProxyFailure("output_shape", f"expected logits of shape ({inputs.shape[0]}, classes), got {shape}")
    return output
