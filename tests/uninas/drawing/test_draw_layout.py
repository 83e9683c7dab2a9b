"""The layered layout: what must hold of any picture, on random graphs and on graphs whose picture is known."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uninas.drawing.layout import layered_layout, longest_path_layers


@st.composite
def dags(draw):
    """Sizes of up to 24 boxes, and edges that run from smaller to larger numbers, some of them twice."""
    count = draw(st.integers(1, 24))
    size = st.tuples(st.floats(8, 120), st.floats(8, 60))
    sizes = draw(st.lists(size, min_size=count, max_size=count))
    pair = st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)).filter(lambda p: p[0] != p[1])
    edges = [(min(pair), max(pair)) for pair in draw(st.lists(pair, max_size=3 * count))] if count > 1 else []
    return sizes, edges


@given(dags())
def test_boxes_keep_their_size_and_never_overlap(dag):
    sizes, edges = dag
    layout = layered_layout(sizes, edges)
    assert [(box.width, box.height) for box in layout.boxes] == sizes
    for one, other in combinations(layout.boxes, 2):
        apart_x = one.x + one.width <= other.x + 1e-6 or other.x + other.width <= one.x + 1e-6
        apart_y = one.bottom <= other.y + 1e-6 or other.bottom <= one.y + 1e-6
        assert apart_x or apart_y


@given(dags())
def test_edges_run_downward_from_box_to_box(dag):
    sizes, edges = dag
    layout = layered_layout(sizes, edges)
    assert [(route.source, route.target) for route in layout.routes] == edges
    for route in layout.routes:
        source, target = layout.boxes[route.source], layout.boxes[route.target]
        assert route.points[0] == (source.centre, source.bottom)
        x, y = route.points[-1]
        assert y == target.y
        assert target.x <= x <= target.x + target.width
        heights = [point[1] for point in route.points]
        assert all(upper < lower for upper, lower in pairwise(heights))


@given(dags())
def test_no_edge_runs_through_a_box(dag):
    sizes, edges = dag
    layout = layered_layout(sizes, edges)
    for route in layout.routes:
        for box in layout.boxes:
            for (x1, y1), (x2, y2) in pairwise(route.points):
                # Inside a box's height an edge runs straight down, beside the box.
                if min(y2, box.bottom) - max(y1, box.y) > 1e-6:
                    assert x1 == x2
                    assert not box.x < x1 < box.x + box.width


@given(dags(), st.data())
def test_labels_meet_no_edge_and_no_box_and_lie_within_the_stated_size(dag, data):
    sizes, edges = dag
    label = st.one_of(st.just((0.0, 0.0)), st.tuples(st.floats(3, 150), st.floats(1, 20)))
    labels = data.draw(st.lists(label, min_size=len(sizes), max_size=len(sizes)))
    layout = layered_layout(sizes, edges, labels=labels)
    for box, (reach, height) in zip(layout.boxes, labels, strict=True):
        left, right, top, bottom = box.centre + 1.5, box.centre + reach, box.bottom, box.bottom + height
        assert right <= layout.width + 1e-6
        assert bottom <= layout.height + 1e-6
        for other in layout.boxes:
            beside = min(right, other.x + other.width) - max(left, other.x) <= 1e-6
            assert beside or min(bottom, other.bottom) - max(top, other.y) <= 1e-6
        for route in layout.routes:
            for (x1, y1), (x2, y2) in pairwise(route.points):
                assert max(x1, x2) <= left or min(x1, x2) >= right or min(y2, bottom) - max(y1, top) <= 1e-6


def test_a_label_raises_its_layer_only_where_an_edge_would_bend_across_it():
    chain, fork = [(0, 1), (1, 2)], [(0, 1), (0, 2)]
    labels = [(50.0, 12.0), (0.0, 0.0), (0.0, 0.0)]
    for edges, more in ((chain, 0), (fork, 12)):
        plain, labelled = layered_layout([(40, 20)] * 3, edges), layered_layout([(40, 20)] * 3, edges, labels=labels)
        assert labelled.height - plain.height == more


@given(dags())
def test_all_lies_within_the_stated_size_and_is_drawn_the_same_twice(dag):
    sizes, edges = dag
    layout = layered_layout(sizes, edges)
    for box in layout.boxes:
        assert box.x >= -1e-6
        assert box.y >= -1e-6
        assert box.x + box.width <= layout.width + 1e-6
        assert box.bottom <= layout.height + 1e-6
    assert layered_layout(sizes, edges) == layout


def test_a_chain_beside_a_long_edge_is_straight():
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4)]
    layout = layered_layout([(40, 20), (80, 20), (30, 20), (60, 20), (20, 20)], edges)
    middles = [layout.boxes[node].centre for node in (1, 2, 3)]
    assert max(middles) - min(middles) < 1e-6
    long = [x for x, _ in layout.routes[4].points[2:-2]]
    assert max(long) - min(long) < 1e-6


def test_a_long_edge_is_not_bent_for_a_short_one():
    # 4 reads 1 and 2, and would pull the long edge from 0 to 6 out of its line.
    edges = [(0, 1), (0, 6), (1, 4), (2, 4), (4, 5), (5, 6)]
    long = [x for x, _ in layered_layout([(40, 20)] * 7, edges).routes[1].points[2:-2]]
    assert max(long) - min(long) < 1e-6


def test_crossed_branches_are_untangled():
    # 4 reads 1 and 3, 5 reads 2: drawn in the order of numbers, an edge would cross.
    edges = [(0, 1), (0, 2), (0, 3), (1, 4), (2, 5), (3, 4), (4, 6), (5, 6)]
    centre = [box.centre for box in layered_layout([(40, 20)] * 7, edges).boxes]
    assert (centre[1] < centre[2]) == (centre[3] < centre[2]) == (centre[4] < centre[5])


def test_equal_edges_enter_side_by_side():
    layout = layered_layout([(40, 20), (40, 20)], [(0, 1), (0, 1)])
    first, second = (route.points[-1][0] for route in layout.routes)
    assert abs(first - second) > 5


def test_layers_are_longest_paths():
    assert longest_path_layers(5, [(0, 1), (1, 2), (0, 2), (2, 4)]) == [0, 1, 2, 0, 3]


def test_a_cycle_and_an_unknown_node_are_refused():
    with pytest.raises(ValueError, match=r"no cycle.*\[0, 1\]"):
        longest_path_layers(3, [(0, 1), (1, 0)])
    with pytest.raises(ValueError, match=r"nodes 0 .. 1, got \(0, 2\)"):
        layered_layout([(1, 1), (1, 1)], [(0, 2)])


def test_no_boxes_are_an_empty_picture():
    assert layered_layout([], []).boxes == ()


def test_a_hundred_nodes_with_many_long_edges_are_laid_out():
    edges = [(node - step, node) for node in range(100) for step in (1, 7, 31) if node >= step]
    layout = layered_layout([(60, 24)] * 100, edges)
    assert layout.layers == tuple(range(100))
