"""TransNAS-Bench-101 (Duan et al., CVPR 2021), the cell level: 4,096 encoders, each trained on seven tasks of Taskonomy.

A score is that of the encoder with a linear layer on its global average, not of a task's decoder. It has as many outputs as the
task has classes (47 scenes, 75 objects, 1,000 permutations of a jigsaw's tiles, 17 classes of pixels), or numbers to find (9 of a
room's layout); for pictures as output, 75 as the authors' encoder has by default. A jigsaw's encoder sees tiles of 64 pixels.

What is judged is the task's measure, more being better: accuracy in percent; where that is none, mean intersection over union,
structural similarity, or the negative loss, stretched to 0 to 100 over the table, which ranks do not see and nDCG needs.
"""

from __future__ import annotations

from search.bench.benchmarks.conduct import Benchmark
from search.bench.benchmarks.of_space import SpaceReferee, Trained
from uninas.spaces.trained.transnasbench101 import CLASSES, MICRO, SIDE

TASKS = {
    "class_scene": Trained("class_scene", 47, SIDE),
    "class_object": Trained("class_object", 75, SIDE),
    "jigsaw": Trained("jigsaw", 1000, 64),
    "room_layout": Trained("room_layout", 9, SIDE, percent=False),
    "segmentsemantic": Trained("segmentsemantic", 17, SIDE, percent=False),
    "normal": Trained("normal", CLASSES, SIDE, percent=False),
    "autoencoder": Trained("autoencoder", CLASSES, SIDE, percent=False),
}
"""The tasks by the authors' names, which are the columns of a table, too."""

BENCHMARK: Benchmark = SpaceReferee(
    name="transnas_micro",
    space=MICRO,
    columns=("architecture",),
    text=str,
    expected="a cell such as 64-41414-1_02_333",
    datasets=TASKS,
    file="transnas_micro.csv",
)
