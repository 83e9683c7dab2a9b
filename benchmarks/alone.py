"""Run an exported program where none of our code can be imported: python alone.py FOLDER torch|onnx.

FOLDER/in1.npy, in7.npy -> FOLDER/got1.npy, got7.npy; the program is FOLDER/out/model.pt2 or model.onnx.
"""

import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("uninas", "proxies", "search", "downstream", "timm"):
            raise ImportError(name)


sys.meta_path.insert(0, Blocked())
import numpy as np  # noqa: E402

folder = sys.argv[1]
for batch in (1, 7):
    pictures = np.load(f"{folder}/in{batch}.npy")
    if sys.argv[2] == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(f"{folder}/out/model.onnx", providers=["CPUExecutionProvider"])
        (logits,) = session.run(["logits"], {"pictures": pictures})
    else:
        import torch

        logits = torch.export.load(f"{folder}/out/model.pt2").module()(torch.from_numpy(pictures)).detach().numpy()
    np.save(f"{folder}/got{batch}.npy", logits)
