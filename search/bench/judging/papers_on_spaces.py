"""The figures of T-CET (Xiang et al., AutoML 2023) on TransNAS-Bench-101 and BLOX, typed as they are printed."""

from __future__ import annotations

BLOX, TRANSNAS_MICRO = "blox", "transnas_micro"
"""The populations of BLOX's 91,125 networks and of TransNAS-Bench-101's 4,096 cells."""

TASKS = ("class_scene", "class_object", "jigsaw")
"""The columns of Table 4 that are of TransNAS-Bench-101."""

# KT on CIFAR-100, the column BLOX of Table 3. A further row, .00, has lost its name in the text that we have. The paper prints
# the better of SSNR with and without the logarithm; its Table A.1 has -.23 with it, of SNIP, and .40 without.
TABLE_3 = """
flops            .38
params           .40
naswot          -.00
lnwot           -.00
synflow         -.31
snip            -.35
ssnr_synflow     .39
ssnr_snip        .40
t_cet_synflow    .40
t_cet_snip       .34
"""

# KT on the tasks above, of 500 random cells. Nothing says whether this SSNR is the one with the logarithm.
TABLE_4 = """
flops            .45 .32 .29
params           .44 .32 .29
synflow          .54 .42 .33
snip             .48 .49 .38
zico             .45 .32 .29
ssnr_synflow     .57 .44 .39
ssnr_snip        .58 .43 .40
t_cet_synflow    .57 .44 .40
t_cet_snip       .56 .47 .41
"""
