import dataclasses
import functools
import json
import pathlib

import pytest
from hypothesis import given, settings

from mlob import reporting
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.dev import Compared
from mlob.evaluation.repeats import Repeated
from mlob.evaluation.tasks import TaskScores
from mlob.recipes import Experiment
from mlob.reports import tables
from mlob.runs import repeats, results
from mlob.runs.dev import Comparison
from mlob.workspace import Workspace


def test_constant_comes_first_then_models_then_ensembles_each_by_cross_fitted_f1(suite):
    assert [row.full_name for row in tables.rows(suite)] == [
        "constant, 0.5",
        "lite, one threshold",
        "xception, one threshold",
        "best single, one threshold",
        "mean, one threshold",
        "PSO, one threshold",
        "PSO, per-label thresholds",
        "ensemble, per-label thresholds",
    ]


def test_what_is_at_another_rule_than_the_fixed_one_is_aside_and_the_ensemble_never_is(suite):
    rows = tables.rows(suite)
    assert [row.name for row in rows if row.is_aside] == ["PSO, per-label thresholds"]
    assert [row.name for row in tables.first(rows)][-4:] == ["best single", "mean", "PSO", "ensemble"]


def test_the_ensembles_row_has_its_nested_figures_and_the_cost_and_weights_of_what_decides(suite):
    *_, method, row = tables.rows(suite)
    ensemble = results.read_ensemble(suite / "ensemble")
    assert row.scores == ensemble.headline != method.scores
    assert (row.weights, row.parameters, row.seconds) == (method.weights, method.parameters, method.seconds)
    assert row.note == "decides by PSO, not by mean, one threshold"


def test_a_member_that_was_copied_in_counts_like_any_other(suite, write_result):
    before = tables.rows(suite)
    write_result(suite / "from_a_friend", 0.6)
    after = tables.rows(suite)
    assert [row for row in after if row.method != "from_a_friend"] == before
    assert [row.method for row in after][1:4] == ["lite", "from_a_friend", "xception"]


def test_models_alone_make_a_table_and_no_result_is_refused(tmp_path, write_result):
    with pytest.raises(InputError, match=r"holds no results"):
        tables.rows(tmp_path)
    write_result(tmp_path / "xception", 0.6)
    assert [row.method for row in tables.rows(tmp_path)] == ["xception"]


@pytest.mark.parametrize(
    "key",
    [
        "method",
        "scores.micro_f1.low",
        "scores.macro_f1.in_sample",
        "parameters.total",
        "seconds.training",
        "weights",
    ],
)
def test_a_missing_key_is_named_with_its_file(suite, key):
    path = suite / "xception" / "result.json"
    record = json.loads(path.read_text())
    *outer, last = key.split(".")
    functools.reduce(dict.__getitem__, outer, record).pop(last)
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"xception/result.json lacks the key {key}"):
        tables.rows(suite)


def test_a_result_that_is_cut_short_or_of_another_type_is_refused(suite):
    path = suite / "xception" / "result.json"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"xception/result.json is not whole JSON"):
        tables.rows(suite)
    path.write_text(whole.replace("0.61,", '"good",'))
    with pytest.raises(InputError, match=r"scores.micro_f1.value is 'good' \(input should be a valid number\)"):
        tables.rows(suite)
    path.write_text("[]")
    with pytest.raises(InputError, match=r"is of another shape: it is \[\]"):
        tables.rows(suite)


def test_random_weights_are_flagged_wherever_such_a_member_counts(suite):
    cells = {row.full_name: tables.weights(row) for row in tables.rows(suite)}
    assert cells == {
        "constant, 0.5": "",
        "lite, one threshold": "RANDOM",
        "xception, one threshold": "imagenet",
        "best single, one threshold": "xception",
        "mean, one threshold": "equal weights (1 RANDOM)",
        "PSO, one threshold": "xception 0.75, lite 0.25 (1 RANDOM)",
        "PSO, per-label thresholds": "xception 0.75, lite 0.25 (1 RANDOM)",
        "ensemble, per-label thresholds": "xception 0.75, lite 0.25 (1 RANDOM)",
    }


def test_a_random_member_of_weight_0_leaves_an_ensemble_unflagged(suite):
    path = suite / "ensemble" / "ensemble.json"
    path.write_text(path.read_text().replace('"lite": 0.25', '"lite": 0.0'))
    assert tables.weights(tables.rows(suite)[-1]) == "xception"


@pytest.mark.parametrize(
    "weights, shown",
    [("imagenet, random", "RANDOM"), ("random_forest.weights.h5", "random_forest.weights.h5")],
)
def test_random_is_a_word_not_a_part_of_a_file_name(tmp_path, write_result, weights, shown):
    write_result(tmp_path / "two_stores", 0.6, weights=weights)
    assert tables.weights(*tables.rows(tmp_path)) == shown


def test_the_text_has_one_whole_line_a_row_in_columns_that_align(suite):
    rows = tables.rows(suite)
    header, *lines = tables.aligned(rows).splitlines()
    assert len(lines) == len(rows)
    assert len({line.index(row.thresholds) for line, row in zip(lines, rows, strict=True)}) == 1
    assert lines[1].endswith("below logistic by 0.012") and len(lines[1]) > 80
    for part in ("0.580", "0.560 to 0.600", "0.590", "0.480", "23.7", "41.2", "8.1", "RANDOM"):
        assert part in lines[1]
    assert "95% interval" in header


def test_on_a_terminal_the_five_best_stand_each_method_once_and_the_ensemble_last(suite):
    header, *lines, told = tables.brief(tables.rows(suite)).splitlines()
    names = [line.split("  ")[0] for line in lines]
    assert names == ["lite", "xception", "best single", "mean", "PSO", "ensemble"]
    assert "one threshold" in lines[-2] and "per-label thresholds" in lines[-1] and "note" not in header
    assert told == "The best 6 of 8, the ensemble last. The page shows all, and so does --verbose."


def test_the_ensemble_stands_last_even_where_models_alone_are_better(suite, write_result):
    for number in range(6):
        write_result(suite / f"m{number}", 0.8 + number / 100)
    names = [line.split("  ")[0] for line in tables.brief(tables.rows(suite)).splitlines()[1:-1]]
    assert names == ["m1", "m2", "m3", "m4", "m5", "ensemble"]


def test_few_models_or_all_are_compared_on_dev():
    none = Interval(0.0, 0.0, 0.0)
    compared = Comparison(9, "a", [Compared(name, none, none) for name in "abc"])
    assert [line[0] for line in tables.dev_aligned(compared, 2).splitlines()[1:-1]] == ["a", "b"]
    assert len(tables.dev_aligned(compared).splitlines()) == 5


def test_the_readme_shows_every_model_each_method_at_the_fixed_rule_and_the_ensemble_last(suite, write_result):
    write_result(suite / "second_seed", 0.6, method="xception")
    shown = tables.markdown(tables.rows(suite))
    assert [line.split(" | ")[0].strip("| ") for line in shown.splitlines()[2:10]] == [
        "constant",
        "lite",
        "xception",
        "xception",
        "best single",
        "mean",
        "PSO",
        "ensemble",
    ]
    assert (
        "0.630 to 0.670" not in shown and "| ensemble | 0.640 | 0.620 to 0.660 |" in shown
    )  # the better rule flatters PSO
    assert "Processor: a processor." in shown


def test_the_readme_says_how_good_the_ensemble_is_and_on_what_it_gains(suite):
    shown = tables.markdown(tables.rows(suite), results.read_ensemble(suite / "ensemble"))
    assert "The ensemble has micro-F1 0.640 (0.620 to 0.660): each photo is decided by what is chosen" in shown
    assert (
        "It gains +0.0300 (+0.0100 to +0.0500) on best single, one threshold and +0.0200 (-0.0100 to +0.0400)" in shown
    )
    assert "decided by PSO with per-label thresholds, clearly better than mean, one threshold." in shown


def test_a_suites_members_and_what_its_ensemble_chose_are_put_between_a_files_markers(suite, tmp_path, monkeypatch):
    monkeypatch.setenv("MLOB_RUNS", str(tmp_path))
    monkeypatch.chdir(pathlib.Path(__file__).parents[2])  # where experiments/demo/suite.py is
    path = tmp_path / "README.md"
    path.write_text("<!-- results:demo -->\n<!-- /results -->\n")
    reporting.put_tables(Workspace("demo"), tables.rows(suite), None, None, str(path))
    text = path.read_text()
    assert "| xception | 0.610 |" in text and "| lite |" not in text  # which is no member of the suite
    assert "The ensemble has micro-F1 0.640 (0.620 to 0.660)" in text


def test_a_bar_in_a_name_does_not_break_the_readme_table(tmp_path, write_result):
    write_result(tmp_path / "x", 0.6, note="a|b")
    assert r"a\|b" in tables.markdown(tables.rows(tmp_path))


def test_what_dev_says_is_aligned_with_signs_and_intervals_and_names_what_it_is_against():
    model = Compared("a|b", Interval(0.9, 0.89, 0.91), Interval(-0.0123, -0.02, 0.001))
    compared = Comparison(1340, "base", [model])
    lines = tables.dev_aligned(compared).splitlines()
    assert lines[0].split()[:4] == ["model", "micro-F1", "on", "dev"]
    assert lines[1].split() == ["a|b", "0.900", "0.890", "to", "0.910", "-0.012", "-0.020", "to", "+0.001"]
    assert "1,340 dev photos" in lines[2] and "over base" in lines[2]
    assert r"| a\|b | 0.900 | 0.890 to 0.910 | -0.012 | -0.020 to +0.001 |" in tables.dev_markdown(compared)


def test_whole_networks_stand_in_a_table_of_their_own_with_what_their_originals_reported(suite):
    networks = {"lite": Experiment(("photos", "more"), reported="Lite | 0.61"), "untrained": Experiment(("photos",))}
    rows = tables.rows(suite)
    header, _, row, *rest = tables.networks_markdown(rows, networks).splitlines()
    cells = dict(zip(header.split(" | "), row.replace(r"\|", "/").split(" | "), strict=True))
    assert cells["| network"] == "| lite" and cells["reads"] == "photos, more"
    (lite,) = (each for each in rows if each.method == "lite")
    assert cells["micro-F1"] == f"{lite.figure.value:.3f}" and cells["95% interval"] == str(lite.figure)
    assert cells["its original reported |"] == "Lite / 0.61 |"
    assert "xception" not in "".join(rest) and "one threshold" in rest[-1]


@pytest.mark.parametrize("name", ["xception/result.json", "ensemble/ensemble.json"])
def test_whatever_a_product_holds_it_is_told_or_refused(name, suite, spoilt):
    content = json.loads((suite / name).read_text())

    @settings(max_examples=150, deadline=None, derandomize=True)
    @given(spoilt(content))
    def spoil(found):
        (suite / name).write_text(json.dumps(found))
        try:
            rows = tables.rows(suite)
        except InputError as error:
            assert f"{name} " in str(error) and "\n" not in str(error)
        else:
            assert tables.aligned(rows) and tables.markdown(rows)

    spoil()


def test_models_of_a_task_stand_beside_what_their_originals_reported_and_empty_columns_are_left_out(suite):
    own = Repeated(0.9, 0.88, 0.92, 0.01)
    lite, xception = (
        repeats.Compared(name, 2, own, own, Interval(gain, gain, gain), None)
        for name, gain in {"lite": 0, "xception": 0.1}.items()
    )
    compared = repeats.Comparison("colour", 50, "lite", [lite, xception])
    recipes = {"lite": Experiment(("lite",)), "xception": Experiment(("x",), reported="0.7", differs="fewer photos")}
    task = TaskScores("colour", 50, 3, {"top_1": Interval(0.93, 0.9, 0.95)}, 1.0, [], [])
    ensemble = dataclasses.replace(results.read_ensemble(suite / "ensemble"), tasks=[task])
    table = tables.task_markdown(compared, tables.rows(suite), recipes, ensemble)
    header, _, first, second = (line.strip("| ").split(" | ") for line in table.splitlines()[:4])
    assert header[-2:] == ["its original reported", "here instead"] and "top-1 on test" not in header
    assert first[0] == "lite" and second[-2:] == ["0.7", "fewer photos"] and "+0.1000" in second
    assert f"The ensemble of {', '.join(ensemble.members)} has 0.930 (0.900 to 0.950), out of fold." in table
    tested = dataclasses.replace(compared, models=[dataclasses.replace(lite, on_test=own)], on_test=40)
    plain = tables.task_markdown(tested, tables.rows(suite), recipes, None)
    assert "| 0.900 (0.880 to 0.920) |" in plain and "and of 40 test photos" in plain
    assert "its original" not in plain and "The ensemble" not in plain
