import dataclasses
import sys

import click
import numpy as np
import pytest
from PIL import Image

from benchmarks import finetuning

CASE = dataclasses.replace(finetuning.CASES["mobilenet"], steps=2)
BASE = [{"seconds": seconds, "processor_seconds": 2 * seconds, "peak_rss_mb": 900.0} for seconds in (10.0, 20.0, 30.0)]
OURS = [
    {
        "seconds": seconds,
        "processor_seconds": seconds,
        "store_seconds": 3.58,
        "store_processor_seconds": 3.58,
        "waiting": 0.1,
        "peak_rss_mb": 800.0 + seconds,
    }
    for seconds in (4.0, 9.0, 14.0)
]


def test_mlobs_generator_yields_each_photo_once_a_pass_with_its_own_targets(tmp_path):
    levels = np.arange(0, 240, 40)
    for level in levels:
        Image.fromarray(np.full((8, 8, 3), level, np.uint8)).save(tmp_path / f"{level:03}.jpg", quality=100)
    reading = []
    made = finetuning.mlobs_generator(sorted(tmp_path.iterdir()), levels[:, np.newaxis], 2, 8, reading)
    passed = [*made]
    seen, targets = (np.concatenate(each) for each in zip(*passed, strict=True))
    assert seen.dtype == np.float32 and seen.shape == (6, 8, 8, 3) and [len(part) for part, _ in passed] == [2, 2, 2]
    assert np.abs(255 * seen[:, 0, 0, 0] - targets[:, 0]).max() <= 2
    assert sorted(targets[:, 0]) == levels.tolist() and len(reading) == 3


def test_a_pass_takes_its_steps_and_its_share_of_the_store():
    figures = finetuning.summary({"baseline": BASE, "maps": OURS}, 90)
    assert figures["baseline"] == {"photos_per_second": 4.5, "peak_rss_mb": 900}
    maps = figures["maps"]
    assert maps["photos_per_second"] == 10 and maps["photos_per_second_of_3.58_passes"] == 9
    assert maps["ratio_of_3.58_passes"] == [2, 2, 2]  # 5, 10 and 15 s against 10, 20 and 30, round by round
    assert maps["processor_ratio_of_3.58_passes"] == [4, 4, 4]
    assert maps["ratio_of_10_passes"][0] > 2 and maps["waiting"] == pytest.approx(0.1 / 9, abs=1e-4)
    assert maps["peak_rss_mb"] == 814


def test_the_interval_holds_the_median_and_not_the_extremes_of_many_rounds():
    value, low, high = finetuning._with_interval(np.arange(1.0, 100.0))
    assert value == 50 and 1 < low < 50 < high < 99


def test_the_table_has_a_line_for_each_way():
    told = finetuning.table("mobilenet", finetuning.summary({"baseline": BASE, "maps": OURS}, 90))
    assert [line.split("|")[1].strip() for line in told.splitlines()] == ["mobilenet", "---", "baseline", "maps"]
    assert "2.00 (2.00 to 2.00)" in told and len({line.count("|") for line in told.splitlines()}) == 1


def test_rounds_of_the_ways_come_in_turn(tmp_path):
    log = tmp_path / "log"
    code = (
        "import sys\n"
        "for number in range(9):\n"
        f"    open({str(log)!r}, 'a').write(sys.argv[1][0])\n"
        "    print('noise')\n"
        "    print('{\"seconds\": %d}' % number, flush=True)\n"
        "    if not sys.stdin.readline(): break\n"
    )
    measured = finetuning.measure([sys.executable, "-c", code], 3)
    assert log.read_text() == "bpm" + "bpm" * 3  # those that compile, and the rounds
    assert measured == {kind: [{"seconds": number} for number in (1, 2, 3)] for kind in finetuning.WAYS}


def test_a_way_that_fails_ends_the_measurement():
    with pytest.raises(click.ClickException, match="without figures"):
        finetuning.measure([sys.executable, "-c", "raise SystemExit(1)"], 1)


@pytest.mark.slow
def test_all_ways_teach_the_same_layers_and_are_measured(tmp_path):
    finetuning.write(tmp_path, CASE, 2)
    for kind, way in finetuning.WAYS.items():
        rounds = way(CASE, tmp_path, 2)
        first, second = next(rounds), next(rounds)
        assert first.keys() == second.keys() and second["seconds"] > 0
        assert kind == "baseline" or 0 <= second["waiting"] < second["seconds"]
    taught = finetuning.mlobs_model(CASE, finetuning.weights_of(tmp_path)).trainable_variables
    expected = sorted(tuple(variable.shape) for variable in taught)
    for reading in (finetuning.on_pixels, finetuning.on_maps):
        learner = finetuning._learner(CASE, tmp_path, 2, *reading(CASE, tmp_path))
        assert sorted(tuple(variable.shape) for variable in learner.learned.trainable_variables) == expected
