"""Networks of one stage, as ViT: with the interface to their blocks that timm's vision transformers have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from downstream.models.backbone import pixel_maps, places
from downstream.models.timm_model import UniNASNet
from uninas.compile.module import StageModule

__all__ = ["IsotropicNet"]


class IsotropicNet(UniNASNet):
    """A network whose blocks have one width and one resolution: the outputs of single blocks are comparable."""

    def get_intermediate_layers(
        self,
        x: Tensor,
        n: int | Sequence[int] = 1,
        reshape: bool = False,
        return_prefix_tokens: bool = False,
        norm: bool = False,
    ) -> Any:
        """Give the outputs of blocks, as DINO's interface does.

        Args:
            x: (B, in_chans, H, W).
            n: the last so many blocks, or these, see `downstream.models.backbone.places`.
            reshape: give maps (B, C, H', W') instead of sequences (B, H' W', C).
            return_prefix_tokens: give pairs of these and the class tokens (B, tokens, C), where there are any.
            norm: apply the final norm, see `forward_intermediates`.
        """
        (stage,) = self.stages
        assert isinstance(stage, StageModule)
        wanted, tokens = places(len(stage.blocks), n), self.architecture.stages[0].tokens
        size, outputs = x.shape[2:], []
        x = self.stem(x)
        x = x if stage.entry is None else stage.entry(x)
        for block in stage.blocks:
            x = block(x)
            outputs.append(x)
        chosen = [self._normed(outputs[place]) if norm else outputs[place] for place in wanted]
        maps = [one for output in chosen for one in pixel_maps(self.architecture, [output], size)]
        prefix = [output[:, :, :tokens, 0].transpose(1, 2) for output in chosen] if tokens and return_prefix_tokens else None
        return self._given(maps, prefix, None, output_fmt="NCHW" if reshape else "NLC", output_dict=False)
