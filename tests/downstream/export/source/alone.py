"""Run exported files where nothing but torch can be imported: python alone.py FOLDER...

Each FOLDER/out/model.py is built with its weights and given noise; FOLDER/got.pt are the logits in float32 and float64.
"""

import runpy
import sys

PACKAGES = ("uninas", "proxies", "search", "downstream", "timm", "torchvision", "safetensors", "numpy")


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in PACKAGES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)  # which torch expects where there is no numpy


sys.meta_path.insert(0, Blocked())
import torch  # noqa: E402

for folder in sys.argv[1:]:
    names = runpy.run_path(f"{folder}/out/model.py")
    (build,) = [made for name, made in names.items() if name.startswith("uninas_")]
    network = build(pretrained=True).eval()
    shape, got = torch.load(f"{folder}/shape.pt"), {}
    for kind in (torch.float32, torch.float64):
        images = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(kind)
        with torch.no_grad():
            got[str(kind)] = network.to(kind)(images)
    torch.save(got, f"{folder}/got.pt")
