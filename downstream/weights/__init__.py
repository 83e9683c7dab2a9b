"""Weight files: safetensors and checkpoints of tensors, and the weights of the UniNAS reference implementation."""
