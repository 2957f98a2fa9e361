import pytest
from click.testing import CliRunner

from benchmarks import metrics


@pytest.fixture(scope="module")
def judged():
    return metrics.draw(4000, 0)


def test_each_photo_has_one_label_of_the_group_and_equal_seeds_draw_alike():
    members, targets = metrics.draw(50, 3)
    assert (targets[:, :20].sum(axis=1) == 1).all() and members.shape == (4, 50, 60)
    assert (metrics.draw(50, 3)[0] == members).all() and (metrics.draw(50, 4)[1] != targets).any()


@pytest.mark.parametrize("name", ["macro_f1", "image_f_beta, beta 2", "top_1", "saved_cost, a wrong label costs 3"])
def test_what_is_made_for_a_metric_reaches_more_of_it_than_what_is_made_for_micro_f1(name, judged, monkeypatch):
    monkeypatch.setattr(metrics, "TIMES", 1)
    plain, own = metrics.reached(metrics.METRICS[name], 1500, judged)
    assert own > plain + 0.01


def test_assured_labels_keep_what_is_wished_more_often_than_those_that_reach_it_where_they_are_fitted(
    judged, monkeypatch
):
    monkeypatch.setattr(metrics, "TIMES", 1)
    assured, lowest = (metrics.kept(0.8, 4000, judged, is_assured) for is_assured in (True, False))
    assert 0.1 < assured[0] < lowest[0] and lowest[1] < 0.5 and assured[1] > 0.8
    assert metrics.kept(0.99, 20, judged, True) == (0, None)


def test_both_tables_are_printed(monkeypatch):
    for name, value in (("FITTED", (60, 80, 100)), ("JUDGED", 100), ("TIMES", 1)):
        monkeypatch.setattr(metrics, name, value)
    printed = CliRunner().invoke(metrics.main, catch_exceptions=False).output
    assert printed.count("\n| ") == 2 * 6 + 2 + 2 * 3 + 2 and "| 0.95 | 100 |" in printed
