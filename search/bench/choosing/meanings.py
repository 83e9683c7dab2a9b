"""What each proxy looks at, in a phrase: a rank product is explained by those of its components."""

from __future__ import annotations

from collections.abc import Sequence

MEANINGS: dict[str, str] = {
    "params": "its number of weights",
    "flops": "its multiply-accumulates on one input",
    "aleph": "its number of convolutions and linear layers",
    "grad_norm": "the length of its gradient",
    "snip": "how much the loss hangs on its weights",
    "grasp": "how its weights change the flow of the gradient",
    "synflow": "how much passes through the magnitudes of its weights from input to output",
    "synflow_log": "how much passes through the magnitudes of its weights from input to output, as a logarithm",
    "jacov": "how differently it reacts to changes of different inputs",
    "naswot": "how differently its rectifiers switch for different inputs",
    "zen": "how far its features move with the input",
    "zico": "how steady its gradients are from batch to batch",
    "gradsign": "how far the gradients of single samples agree in sign",
    "ntk_condition": "how evenly it can learn in all directions at the start",
    "linear_regions": "the number of linear pieces it cuts its input into",
    "expressivity": "how evenly the features of its blocks use their channels",
    "progressivity": "how much more its features spread from block to block",
    "trainability": "how well gradients keep their size on the way back through its blocks",
    "vkdnw": "how evenly the Fisher information is spread over its weights",
    "vkdnw_single": "its number of layers and, among equals, how evenly the Fisher information is spread over its weights",
    "vkdnw_norms": "how evenly the Fisher information is spread over its weights, norms and biases",
    "ssnr_synflow": "how large and how even synaptic flow is within its layers",
    "ssnr_synflow_log": "how large and how even synaptic flow is within its layers, in logarithms",
    "ssnr_snip": "how large and how even the weights' effect on the loss is within its layers",
    "ssnr_snip_log": "how large and how even the weights' effect on the loss is within its layers, in logarithms",
    "ssnr_grasp": "how large and how even the weights' effect on the gradient is within its layers",
    "ssnr_grasp_log": "how large and how even the weights' effect on the gradient is within its layers, in logarithms",
    "lnwot": "how differently the units of each layer switch for different inputs",
    "t_cet_synflow": "whether its layers have large, even synaptic flow and tell inputs apart",
    "t_cet_synflow_log": "whether its layers have large, even synaptic flow and tell inputs apart, in logarithms",
    "t_cet_snip": "whether its layers have weights that matter evenly to the loss and tell inputs apart",
    "t_cet_snip_log": "whether its layers have weights that matter evenly to the loss and tell inputs apart, in logarithms",
}
"""Every raw proxy."""

_TIMES = {1: "once", 2: "twice", 3: "three times", 4: "four times", 5: "five times"}


def explained(components: Sequence[str]) -> str:
    """Explain the rank product of these components in two sentences."""
    phrases = [f"by {MEANINGS.get(name, 'its score')} (`{name}`)" for name in components]
    listed = phrases[0] if len(phrases) == 1 else f"{'; '.join(phrases[:-1])}; and {phrases[-1]}"
    first = f"Rank the networks {_TIMES.get(len(components), f'{len(components)} times')}, the worst first: {listed}."
    if len(components) == 1:
        return f"{first} That rank is a network's value."
    return (
        f"{first} A network's value is the product of the {len(components)} ranks, so that only one high in all of them is high."
    )
