"""What leads from one network to another. Plain Python, no torch.

diff            two architectures: settings, stages, blocks, the edit of every graph
diff_graphs     two graphs: operations inserted, removed, replaced, rewired
align           which node of one graph is which of another
"""

from uninas.diff.compare import BlockDiff, Difference, StageDiff, diff
from uninas.diff.edits import GraphDiff, NodeEdit, diff_graphs
from uninas.diff.matching import align

__all__ = ["BlockDiff", "Difference", "GraphDiff", "NodeEdit", "StageDiff", "align", "diff", "diff_graphs"]
