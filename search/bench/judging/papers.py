"""The figures of the papers that our benches are compared with, each with the table it stands in.

VKDNW: Týbl and Neumann, Training-free Neural Architecture Search through Variance of Knowledge of Deep Network Weights,
CVPR 2025. T-CET: Xiang et al., Exploiting Network Compressibility and Topology in Zero-Cost NAS, AutoML 2023.

    paper_figure(proxy, dataset, metric, population)     one figure, or None
    ABLATIONS[name]                                      an ablation's figures by the label of its row

The tables are typed here as they are printed, one line per row, with a dot where nothing is printed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from search.bench.judging.papers_on_spaces import BLOX, TABLE_3, TABLE_4, TASKS, TRANSNAS_MICRO

DATASETS: tuple[str, ...] = ("cifar10", "cifar100", "imagenet16_120")
METRICS: tuple[str, ...] = ("kendall", "spearman", "ndcg")
VKDNW, T_CET = "VKDNW", "T-CET"
MACRO = "nasbench_macro"
"""The population of NAS-Bench-Macro's 6,561 networks."""

SETTINGS: dict[str, str] = {
    VKDNW: "NAS-Bench-201, accuracies after 200 epochs (the authors' code reads the test sets), 64 random inputs, or real ones"
    " where a proxy needs labels; nDCG at P = 1000; means of 5 runs; a random forest fitted on 1,024 networks for models",
    T_CET: "NATS-Bench-TSS: all 15,625 cells as stored, edges that reach nothing included; Kendall's tau against test"
    " accuracy, mean over training seeds; one run, no error bars",
}
"""How each paper measured on NAS-Bench-201."""

ELSEWHERE: dict[str, dict[str, str]] = {
    MACRO: {T_CET: "NAS-Bench-Macro on CIFAR-10: Kendall's tau; one run, no error bars (Table 3)"},
    BLOX: {T_CET: "BLOX on CIFAR-100: Kendall's tau; one run, no error bars (Table 3)"},
    TRANSNAS_MICRO: {T_CET: "TransNAS-Bench-101's cells: Kendall's tau on 500 random ones; no error bars (Table 4)"},
}
"""How each paper measured on other populations."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as printed.

    Attributes:
        value: a correlation, or nDCG.
        paper: VKDNW or T-CET.
        table: where it stands, such as "Table I".
        digits: printed digits after the point: what is closer than half of the last one is the same figure.
    """

    value: float
    paper: str
    table: str
    digits: int = 3

    @property
    def source(self) -> str:
        """Paper and table."""
        return f"{self.paper}, {self.table}"

    def place(self, low: float, high: float) -> str:
        """Where an interval of ours lies: "inside" holds the figure, "above" and "below" miss it on that side."""
        half = 0.5 * 10.0**-self.digits + 1e-9
        if low > self.value + half:
            return "above"
        return "below" if high < self.value - half else "inside"


@dataclass(frozen=True, slots=True)
class Ablation:
    """An ablation of a paper.

    Attributes:
        title: in a few words.
        paper, table: where it stands.
        setting: what the paper measured, on what.
        rows: label of the row -> metric, or dataset where `by_dataset` -> figure.
        by_dataset: the columns are datasets, and the metric is Kendall's tau.
        digits: printed digits after the point.
    """

    title: str
    paper: str
    table: str
    setting: str
    rows: Mapping[str, Mapping[str, float]]
    by_dataset: bool = False
    digits: int = 3

    def figure(self, label: str, column: str) -> Figure | None:
        """The figure of a row and a column (a metric, or a dataset), None where nothing is printed."""
        value = self.rows.get(label, {}).get(column)
        return None if value is None else Figure(value, self.paper, self.table, self.digits)


# KT, SPR, nDCG on CIFAR-10, on CIFAR-100, on ImageNet16-120. The 9,445 cells without an edge that reaches nothing.
_TABLE_I = """
flops           .623 .799 .745  .586 .763 .576  .545 .718 .403
grad_norm       .328 .438 .509  .341 .451 .278  .310 .418 .265
grasp           .352 .505 .518  .349 .498 .284  .359 .502 .281
snip            .431 .591 .513  .440 .597 .286  .389 .521 .286
synflow         .561 .758 .709  .553 .750 .594  .531 .719 .511
jacov           .616 .800 .540  .639 .820 .402  .602 .779 .356
naswot          .571 .762 .607  .607 .799 .475  .605 .794 .490
zen             .102 .103 .120  .079 .072 .115  .091 .109 .073
gradsign           . .765    .     . .793    .     . .783    .
zico            .607 .802 .751  .614 .809 .607  .587 .779 .523
te_nas          .536 .722 .602  .537 .723 .327  .523 .709 .330
az_nas          .712 .892 .749  .696 .880 .549  .673 .859 .534
aleph           .626 .767 .671  .646 .787 .525  .623 .764 .497
vkdnw_single    .618 .815 .751  .634 .829 .617  .622 .814 .608
vkdnw_agg       .750 .919 .785  .753 .919 .636  .743 .906 .664
graf_m          .820 .953 .935  .809 .948 .858  .796 .941 .828
vkdnw_m         .647 .831 .750  .636 .821 .602  .611 .798 .575
vkdnw_zcs_m     .840 .963 .922  .834 .960 .884  .830 .958 .843
vkdnw_zcs_graf_m .859 .971 .946 .847 .966 .895  .842 .963 .867
"""

# The same on all 15,625.
_TABLE_VI = """
flops           .578 .753 .729  .551 .727 .565  .517 .691 .386
grad_norm       .356 .483 .407  .359 .489 .202  .322 .441 .192
grasp           .315 .454 .439  .322 .461 .224  .333 .470 .207
snip            .454 .615 .433  .462 .620 .221  .403 .539 .212
synflow         .571 .769 .691  .565 .761 .584  .555 .747 .504
jacov           .545 .712 .362  .554 .720 .249  .537 .701 .240
naswot          .556 .742 .572  .579 .768 .449  .583 .768 .459
zen             .244 .321 .110  .232 .300 .110  .250 .344 .065
gradsign           . .765    .     . .793    .     . .783    .
zico            .590 .785 .732  .600 .794 .597  .594 .787 .516
te_nas          .489 .676 .481  .481 .664 .214  .459 .641 .143
az_nas          .739 .912 .702  .722 .899 .473  .694 .876 .482
aleph           .580 .723 .631  .594 .737 .491  .574 .716 .483
vkdnw_single    .606 .800 .724  .613 .807 .592  .605 .795 .583
vkdnw_agg       .740 .911 .743  .736 .906 .578  .723 .893 .614
graf_m          .832 .957 .921  .818 .952 .859  .812 .946 .832
vkdnw_m         .682 .864 .757  .655 .840 .573  .642 .826 .506
vkdnw_zcs_m     .865 .973 .906  .859 .970 .861  .863 .971 .828
vkdnw_zcs_graf_m .878 .978 .927 .869 .975 .871  .874 .975 .856
"""

# KT on CIFAR-10, CIFAR-100, ImageNet16-120; all 15,625. The last three rows are printed as columns in the text that we have;
# Table A.1 has SNIP-SNR .63 on ImageNet16-120, which tells its column (.63 .58 .62) from that of NB-1shot1's SS2 (.62 .62 .64).
_TCET_2 = """
flops            .58 .55 .52
params           .58 .55 .52
grad_norm        .46 .47 .43
grasp            .37 .37 .40
synflow          .54 .57 .56
snip             .46 .46 .43
zico             .61 .61 .60
zen              .29 .28 .29
naswot           .58 .62 .60
lnwot            .57 .57 .56
ssnr_synflow     .63 .60 .59
ssnr_snip        .68 .65 .63
t_cet_synflow    .65 .62 .58
t_cet_snip       .69 .65 .62
"""

# KT; T-CET, Table A.1, its block of NATS-Bench-TSS. One cell is not legible in the text that we have.
_TCET_A1 = """
ssnr_synflow     .63 .60 .59
ssnr_synflow_log .60 .60 .59
ssnr_snip        .68 .65 .63
ssnr_snip_log    .63   . .62
"""

# KT on CIFAR-10, the column NB-Macro of Table 3. A further row, .57, has lost its name in the text that we have. The paper prints
# the better of SSNR with and without the logarithm, and says that here it is the one with it.
_TCET_3 = """
flops            .56
params           .22
naswot           .63
lnwot            .59
synflow          .52
snip             .50
ssnr_synflow_log .52
ssnr_snip_log    .52
t_cet_synflow_log .55
t_cet_snip_log   .55
"""

# KT, SPR, nDCG on ImageNet16-120. V: VKDNW_single, J: Jacov, E: expressivity, T: trainability, F: FLOPs. In the text that we
# have, the marks of some rows of Table IX are shifted; the order of the rows, Table III (which has eleven of them in clear)
# and the row of J and F, measured on published scores, say which row is whose.
_TABLE_IX = """
V      .622 .814 .608
J      .603 .781 .339
E      .588 .779 .274
T      .353 .517 .233
F      .545 .718 .403
VJ     .677 .851 .565
VE     .675 .851 .489
VT     .622 .821 .552
VF     .619 .811 .557
JE     .630 .815 .349
JT     .621 .818 .505
JF     .695 .863 .574
ET     .616 .818 .463
EF     .642 .818 .434
TF     .617 .815 .580
VJT    .698 .879 .632
VJE    .686 .858 .515
VJF    .696 .868 .616
VET    .698 .882 .612
VEF    .672 .848 .512
VTF    .681 .870 .675
JET    .674 .862 .527
JEF    .695 .859 .484
JTF    .726 .899 .673
ETF    .702 .883 .630
VJET   .717 .891 .623
VJEF   .706 .871 .553
VJTF   .736 .905 .695
VETF   .722 .896 .658
JETF   .735 .901 .646
VJETF  .743 .906 .664
"""

# KT with the number of layers, aleph.
_TABLE_IV = """
vkdnw           .041 -.090 -.107
trainability    .220  .220  .253
expressivity    .539  .539  .539
progressivity   .398  .398  .385
"""

# VKDNW_single on ImageNet16-120: KT, SPR, nDCG.
_TABLE_V = """
random,8     .615 .808 .617
random,16    .614 .808 .604
random,32    .619 .812 .611
random,64    .621 .814 .617
random,128   .621 .814 .616
real,8       .614 .805 .599
real,16      .608 .800 .595
real,32      .612 .804 .594
real,64      .614 .806 .595
real,128     .615 .806 .591
"""
_TABLE_VII = """
8     .590 .782 .579
16    .619 .810 .592
32    .621 .813 .600
64    .621 .814 .607
128   .619 .812 .611
256   .619 .812 .606
"""
_TABLE_VIII = """
position=random  .618 .811 .586
position=0       .622 .814 .608
position=0.2     .622 .815 .602
position=0.4     .625 .817 .606
position=0.6     .623 .814 .598
position=0.8     .622 .814 .609
position=1       .621 .813 .608
per_layer=1      .621 .813 .600
per_layer=2      .634 .824 .608
per_layer=4      .626 .817 .600
per_layer=8      .605 .797 .594
"""


def rows_of(table: str) -> dict[str, tuple[float | None, ...]]:
    """A table above as label -> cells, None where nothing is printed."""
    parsed = {}
    for line in table.split("\n"):
        if line:
            label, *cells = line.split()
            parsed[label] = tuple(None if cell == "." else float(cell) for cell in cells)
    return parsed


def _named(table: str, columns: tuple[str, ...]) -> dict[str, dict[str, float]]:
    return {
        label: {column: cell for column, cell in zip(columns, cells, strict=True) if cell is not None}
        for label, cells in rows_of(table).items()
    }


ABLATIONS: dict[str, Ablation] = {
    "fim_size": Ablation(
        "Size of the Fisher matrix",
        VKDNW,
        "Table VII",
        "VKDNW_single, ImageNet16-120, reachable cells; first layers taken",
        _named(_TABLE_VII, METRICS),
    ),
    "weights": Ablation(
        "Weights taken from each layer",
        VKDNW,
        "Table VIII",
        "VKDNW_single, ImageNet16-120, reachable cells; one weight of each of the first 128 layers at a relative position, or"
        " several of each of the first 32",
        _named(_TABLE_VIII, METRICS),
    ),
    "batch_input": Ablation(
        "Batch size, random against real input",
        VKDNW,
        "Table V",
        "VKDNW_single, ImageNet16-120, reachable cells",
        _named(_TABLE_V, METRICS),
    ),
    "subsets": Ablation(
        "All subsets of the aggregate",
        VKDNW,
        "Table IX (and III)",
        "sums of log ranks, ImageNet16-120, reachable cells; V: VKDNW_single, J: Jacov, E: expressivity, T: trainability,"
        " F: FLOPs",
        _named(_TABLE_IX, METRICS),
    ),
    "aleph": Ablation(
        "Correlation with the number of layers",
        VKDNW,
        "Table IV",
        "Kendall's tau with aleph, reachable cells",
        _named(_TABLE_IV, DATASETS),
        by_dataset=True,
    ),
    "ssnr_log": Ablation(
        "The logarithm in SSNR",
        T_CET,
        "Table A.1",
        "Kendall's tau with test accuracy, all 15,625 cells as stored",
        _named(_TCET_A1, DATASETS),
        by_dataset=True,
        digits=2,
    ),
}
"""The papers' ablations by the name that `uninas bench ablation` takes."""


def _figures() -> dict[tuple[str, str, str, str], tuple[Figure, ...]]:
    found: dict[tuple[str, str, str, str], tuple[Figure, ...]] = {}

    def add(proxy: str, dataset: str, metric: str, population: str, figure: Figure) -> None:
        key = (proxy, dataset, metric, population)
        found[key] = (*found.get(key, ()), figure)

    for table, name, population in ((_TABLE_I, "Table I", "reachable"), (_TABLE_VI, "Table VI", "all_forms")):
        for proxy, cells in rows_of(table).items():
            for number, cell in enumerate(cells):
                if cell is not None:
                    add(proxy, DATASETS[number // 3], METRICS[number % 3], population, Figure(cell, VKDNW, name))
    for table, name in ((_TCET_2, "Table 2"), (_TCET_A1, "Table A.1")):
        for proxy, cells in rows_of(table).items():
            for dataset, cell in zip(DATASETS, cells, strict=True):
                if cell is not None and (name == "Table 2" or (proxy, dataset, "kendall", "all_forms") not in found):
                    add(proxy, dataset, "kendall", "all_forms", Figure(cell, T_CET, name, digits=2))
    for proxy, (cell,) in rows_of(_TCET_3).items():
        assert cell is not None
        add(proxy, "cifar10", "kendall", MACRO, Figure(cell, T_CET, "Table 3", digits=2))
    for proxy, (cell,) in rows_of(TABLE_3).items():
        assert cell is not None
        add(proxy, "cifar100", "kendall", BLOX, Figure(cell, T_CET, "Table 3", digits=2))
    for proxy, cells in rows_of(TABLE_4).items():
        for task, cell in zip(TASKS, cells, strict=True):
            assert cell is not None
            add(proxy, task, "kendall", TRANSNAS_MICRO, Figure(cell, T_CET, "Table 4", digits=2))
    for proxy in ("expressivity", "trainability"):  # components that Table I has no row for
        for metric, cell in zip(METRICS, rows_of(_TABLE_IX)[proxy[0].upper()], strict=True):
            assert cell is not None
            add(proxy, "imagenet16_120", metric, "reachable", Figure(cell, VKDNW, "Table IX"))
    return found


_FIGURES = _figures()

_AS = {"vkdnw_norms_single": "vkdnw_single", "vkdnw_norms_agg": "vkdnw_agg"}
"""Variants -> the name under which the papers print them."""


def paper_figures(proxy: str, dataset: str, metric: str, population: str) -> tuple[Figure, ...]:
    """Every figure that the papers print for a proxy, VKDNW's first; empty where there is none.

    Args:
        proxy: our name of a raw proxy, population rank or model.
        dataset: cifar10, cifar100, imagenet16_120, or a task of TransNAS-Bench-101.
        metric: kendall, spearman or ndcg.
        population: reachable (the 9,445), all_forms (the 15,625 as stored), nasbench_macro, blox, or transnas_micro.
    """
    return _FIGURES.get((_AS.get(proxy, proxy), dataset, metric, population), ())


def paper_figure(proxy: str, dataset: str, metric: str, population: str) -> Figure | None:
    """The figure to compare with: the first of `paper_figures`, or None."""
    return next(iter(paper_figures(proxy, dataset, metric, population)), None)
