import dataclasses
import json
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import gpu

SCALE = dataclasses.replace(gpu.TINY, networks=("efficientnet_lite0", "mobilenet"))
ROWS = [
    {"card": "a card", "backend": "jax", "step": "device", "name": "matrix product, float16", "tflops": 700.0},
    {
        "card": "a card",
        "backend": "jax",
        "step": "extract xception",
        "name": "xception 299, float16",
        "photos_per_second": 10_000,
    },
    {"card": "a card", "backend": "torch", "step": "head", "name": "head", "note": "cut after 90 s"},
]


def test_the_order_is_device_first_network_files_head_finetuning_other_networks_ensemble():
    assert list(gpu.steps(SCALE)) == [
        "device", "extract efficientnet_lite0", "files", "head", "finetune mobilenet", "extract mobilenet", "ensemble",
    ]  # fmt: skip


def stand_in(code, monkeypatch):
    """Run this code in place of every step."""
    popen = gpu.subprocess.Popen
    monkeypatch.setattr(gpu.subprocess, "Popen", lambda command, **how: popen([sys.executable, "-c", code], **how))


def test_a_step_that_is_slow_is_cut_and_what_it_told_before_is_kept(monkeypatch):
    code = 'import time; print(\'noise\'); print(\'{"name": "first", "seconds": 1}\', flush=True); time.sleep(60)'
    stand_in(code, monkeypatch)
    first, second = gpu.run_step("head", [], 1)
    assert first == {"step": "head", "name": "first", "seconds": 1}
    assert second == {"step": "head", "name": "head", "note": "cut after 1 s"}


def test_a_step_that_fails_is_told_and_the_others_run(monkeypatch):
    stand_in("raise SystemExit(3)", monkeypatch)
    assert [row["note"] for row in gpu.measure(gpu.steps(gpu.TINY), 1, [], 60)] == ["failed"] * 6


def test_steps_that_the_time_does_not_reach_are_told(monkeypatch):
    stand_in("import time; time.sleep(60)", monkeypatch)
    notes = [row["note"] for row in gpu.measure(gpu.steps(gpu.TINY), 1, [], 0.5)]
    assert notes == ["cut after 0 s", *["not begun: the time was over"] * 5]


def test_each_figure_is_in_the_log_before_the_next_is_measured_and_the_table_has_them_all(monkeypatch, tmp_path):
    log, table = tmp_path / "gpu.jsonl", tmp_path / "gpu.md"
    log.write_text(json.dumps(ROWS[2]) + "\n")

    def measured(*_):
        for row in ROWS[:2]:
            yield {key: value for key, value in row.items() if key not in ("card", "backend")}
            assert json.loads(log.read_text().splitlines()[-1])["name"] == row["name"]

    monkeypatch.setattr(gpu, "measure", measured)
    monkeypatch.setattr(gpu, "card", lambda: "a card")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    done = CliRunner().invoke(gpu.main, ["--tiny", "--log", str(log), "--markdown", str(table)], catch_exceptions=False)
    assert "jax device: matrix product, float16: tflops 700.0" in done.stdout
    assert table.read_text() == gpu.markdown([ROWS[2], *ROWS[:2]])
    assert "| xception 299, float16 | 10,000 |" in table.read_text() and "cut after 90 s" in table.read_text()


def test_folders_of_log_and_table_are_made(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "measure", lambda *_: iter(({"step": "head", "name": "head", "note": "failed"},)))
    log, table = tmp_path / "a" / "gpu.jsonl", tmp_path / "b" / "gpu.md"
    CliRunner().invoke(gpu.main, ["--log", str(log), "--markdown", str(table)], catch_exceptions=False)
    assert "failed" in log.read_text() and "failed" in table.read_text()


def test_a_step_can_be_measured_again_and_the_table_has_its_last_figures():
    again = {**ROWS[1], "photos_per_second": 9_000}
    assert gpu.markdown([*ROWS, again]) == gpu.markdown([ROWS[0], again, ROWS[2]])
    done = CliRunner().invoke(gpu.main, ["--step", "haed"])
    assert done.exit_code == 2 and "there is no step 'haed'; there are: device" in done.output


def test_a_network_has_its_share_of_the_product_in_its_own_precision_on_its_own_card():
    others = [
        {**ROWS[0], "name": "matrix product, float32", "tflops": 70.0},
        {**ROWS[0], "backend": "torch", "tflops": 1},
    ]
    network = {**ROWS[1], "tflops": 7.0}
    assert gpu.with_share(network, [ROWS[0], *others])["of_matrix_product"] == 0.01
    assert gpu.with_share({**network, "name": "xception 299, float32"}, others)["of_matrix_product"] == 0.1
    assert gpu.with_share(network, others) == network and gpu.with_share(ROWS[0], ROWS) == ROWS[0]


@pytest.fixture
def network():
    """A residual network with each kind of convolution, counted by hand."""
    inputs = x = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(x)  # 64 places x 3 x 3 x 3 x 4
    y = keras.layers.SeparableConv2D(4, 3, padding="same")(x)  # 64 x (9 x 4 + 4 x 4)
    y = keras.layers.BatchNormalization()(y)
    x = keras.layers.DepthwiseConv2D(3, 2)(keras.layers.Add()([x, y]))  # 3 x 3 places x 9 x 4
    return keras.Model(inputs, x)


def test_operations_are_counted(network):
    assert gpu.flop(network) == 2 * (64 * 108 + 64 * (36 + 16) + 9 * 36)


def test_made_up_weights_keep_the_variance(network):
    gpu.make_up_weights(network)
    photos = np.random.default_rng(0).normal(size=(50, 8, 8, 3)).astype(np.float32)
    assert 0.3 < np.std(keras.ops.convert_to_numpy(network(photos))) < 10


@pytest.mark.slow
def test_whole_networks_learn_on_the_device_and_from_host_memory():
    built, device, host = gpu.finetune(SCALE, "mobilenet")
    assert [row["name"] for row in (built, device, host)] == [
        "mobilenet 32, built",
        *(f"mobilenet 32, batch 4, {where}, float32" for where in ("on the device", "in host memory")),
    ]
    assert all(0 < row["last_loss"] < 0.3 for row in (device, host))
    assert device["hours_an_epoch"] == pytest.approx(1_014_544 / device["photos_per_second"] / 3600, rel=0.1)


def test_thresholds_and_swarm_are_timed_on_the_processor():
    names = [row["name"] for row in gpu.ensemble(dataclasses.replace(SCALE, judged=20))]
    assert names == [f"{kind}, on the processor" for kind in ("exact thresholds", "swarm fitness", "pso")]
