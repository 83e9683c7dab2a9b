"""Plain torch that exported files are made of: layers and functions, which `copying` takes over as they stand here.

Nothing in this room may refer to anything but torch, other pieces, and what `copying.IMPORTS` offers, and all of it passes
through `torch.jit.script` and `torch.export`. The arithmetic is that of `uninas.compile`, operation by operation, so that outputs
are the same to the last bit; what that room does for sides that an exported program leaves open is not needed here.
"""
