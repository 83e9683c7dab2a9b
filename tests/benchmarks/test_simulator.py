"""The simulator against closed forms: constant times, no work of the driver, then constant work; and the window's rule."""

import pytest

from benchmarks.simulated.virtual import PARTS, Calls, Clock, Numbers, Result, Times, simulate
from search.ranking.objective import Objective

ONE = Objective("one", (("flops",),))
CONSTANT = Times(3.0, sigma=0.0, stragglers=0.0, failures=0.0)


def run(
    scorers: int,
    window: int,
    order: str = "ask",
    *,
    times: Times = CONSTANT,
    calls: Calls = Calls(0.0),  # noqa: B008 frozen
    evaluations: int = 400,
    warm: int | None = None,
    costs: dict[str, float] | None = None,
    algorithm: str = "random",
) -> Result:
    return simulate(
        Numbers(),
        ONE,
        algorithm=algorithm,
        scorers=scorers,
        window=window,
        order=order,
        times=times,
        calls=calls,
        evaluations=evaluations,
        warm=window if warm is None else warm,
        clock=Clock(lambda: 0.0, costs),
    )


@pytest.mark.parametrize("order", ["ask", "completion"])
@pytest.mark.parametrize(("window", "busy"), [(1, 0.25), (2, 0.5), (3, 0.75), (4, 1.0), (9, 1.0)])
def test_a_window_below_the_scorers_keeps_as_many_busy(order: str, window: int, busy: float) -> None:
    result = run(4, window, order, evaluations=4 * 3 * 20 + window + 1)
    assert result.busy == pytest.approx(busy)
    assert result.held == pytest.approx(1 - busy)
    assert result.late == pytest.approx(0.0)


@pytest.mark.parametrize("order", ["ask", "completion"])
def test_every_candidate_comes_back_once_with_stragglers_and_failures(order: str) -> None:
    times = Times(3.0, sigma=0.5, stragglers=0.1, failures=0.2, seed=7)
    tickets = run(16, 64, order, times=times, calls=Calls(0.001, 0.001, 4), evaluations=500).tickets
    assert sorted(tickets) == list(range(500))
    assert (tickets == sorted(tickets)) == (order == "ask")  # the journal's order


def test_a_driver_that_is_the_bound_serves_one_candidate_in_its_own_time() -> None:
    """8 ms a candidate are 125 a second; of 1,000 scorers of 3 s 375 work."""
    costs = {"ask": 0.002, "tell": 0.001, "text": 0.001, "journal": 0.001}
    result = run(1000, 1000, times=CONSTANT, calls=Calls(0.003), evaluations=6000, warm=2000, costs=costs)
    assert result.asks_per_s == pytest.approx(125, rel=0.01)
    assert result.busy == pytest.approx(0.375, rel=0.02)
    assert result.held == pytest.approx(0.0, abs=1e-9)
    assert sum(result.driver.values()) == pytest.approx(1.0)
    assert [result.each_ms[part] for part in PARTS] == pytest.approx([2, 1, 1, 1, 3, 0], abs=0.02)


def test_batches_share_the_cost_of_a_call() -> None:
    """A call of 16 ms is 16 ms a candidate alone, and 1 ms each where sixteen go together: then 100 scorers of 0.3 s are busy."""
    times = Times(0.3, sigma=0.0, stragglers=0.0, failures=0.0)
    alone = run(100, 100, "completion", times=times, calls=Calls(0.016, 0.0, 1), evaluations=1500, warm=500)
    assert alone.asks_per_s == pytest.approx(1000 / 16, rel=0.02)
    together = run(100, 1600, "completion", times=times, calls=Calls(0.016, 0.0, 16), evaluations=8000, warm=3200)
    assert together.busy > 0.95
    assert 1 / 3 <= together.driver["calls"] < 0.5  # 333 a second at 1 ms each, and some calls that are not full


@pytest.mark.parametrize("order", ["ask", "completion"])
def test_one_seed_is_one_simulation(order: str) -> None:
    def seen(seed: int) -> Result:
        return run(8, 80, order, times=Times(seed=seed), costs={"ask": 0.01}, algorithm="evolution", evaluations=600)

    assert seen(0) == seen(0)
    assert seen(0) != seen(1)


def test_times_are_what_they_are_said_to_be() -> None:
    times = Times(3.0, sigma=0.3, stragglers=0.05, slowdown=10.0, failures=0.1)
    drawn = [times.draw(f"{number:064x}", ("flops",)) for number in range(20_000)]
    seconds = sorted(spent for spent, _ in drawn)
    assert sum(seconds) / len(seconds) == pytest.approx(times.overall_s, rel=0.03)
    assert sum(outcome.status == "failed" for _, outcome in drawn) == pytest.approx(2000, rel=0.1)
    assert seconds[-20] == pytest.approx(times.longest(1000), rel=0.05)  # one in a thousand is longer
    assert times.draw("ab", ("flops",)) == times.draw("ab", ("flops",))


def test_the_rule_without_spread_is_the_stragglers_over_the_mean() -> None:
    times = Times(3.0, sigma=0.0)
    assert times.window(1000) == pytest.approx(1000 * 30 / 3.27, abs=1)
    assert times.busy(4000, 1000) == pytest.approx(4000 / (1000 * 30 / 3.27))


@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_the_window_of_the_rule_keeps_scorers_busy_in_ask_order(sigma: float) -> None:
    """At 200 scorers, with a driver whose work is a constant 2 ms: at least 95%; a third of the window: less than 60%."""
    times, costs = Times(3.0, sigma=sigma), {"ask": 0.00124}
    window = times.window(200)
    kept = run(200, window, times=times, calls=Calls(0.00076), evaluations=window + 8000, costs=costs)
    assert kept.busy >= 0.95
    assert run(200, window // 3, times=times, calls=Calls(0.00076), evaluations=window // 3 + 4000, costs=costs).busy < 0.6


def test_completion_order_needs_no_more_than_as_many_as_there_are_scorers() -> None:
    result = run(200, 200, "completion", times=Times(), calls=Calls(0.00076), evaluations=5000, costs={"ask": 0.00124})
    assert result.busy >= 0.95
