import numpy as np
import pytest

from mlob.evaluation.bootstrap import Interval
from mlob.recipes import LINEAR, Experiment, Judging, Training
from mlob.runs import curve
from mlob.runs.job import Job
from mlob.training import fit

JUDGE = Judging(folds=3, draws=50)
LEARNED = Experiment(("one",), LINEAR, Training(epochs=60, learning_rate=0.03))


@pytest.fixture(scope="module")
def stores(made, write_store, tmp_path_factory):
    return {"one": write_store(tmp_path_factory.mktemp("features") / "one", made, noise=0.5)}


@pytest.fixture
def draw(made, stores, tmp_path):
    def draw(experiment=LEARNED, **others):
        where = {"folder": tmp_path / "curve", "judging": JUDGE, "shares": (0.05, 0.3, 1.0)}
        return curve.measure(Job("head", experiment, made, stores), **{**where, **others})

    return draw


@pytest.fixture
def fits(monkeypatch):
    """The ids that each fit was given."""
    given, plain = [], fit.fit

    def spied(experiment, train, dev, **others):
        given.append((set(train.ids), tuple(dev.ids)))
        return plain(experiment, train, dev, **others)

    monkeypatch.setattr(fit, "fit", spied)
    return given


@pytest.mark.slow
def test_the_parts_lie_within_each_other_and_dev_stays_the_same(draw, fits):
    found = draw()
    parts, devs = zip(*fits, strict=True)
    assert [len(part) for part in parts] == [point.rows for point in found.points] == [10, 58, 192]
    assert parts[0] < parts[1] < parts[2] and len(set(devs)) == 1
    assert not parts[2] & set(devs[0]) and found.photos == len(devs[0])


@pytest.mark.slow
def test_the_curve_rises_where_photos_help_and_each_gain_is_on_the_point_before(draw, tmp_path):
    found = draw()
    first, middle, last = found.points
    assert first.micro_f1.value + 0.02 < last.micro_f1.value < 1
    assert first.gain == Interval(0, 0, 0)
    assert last.gain.value == pytest.approx(last.micro_f1.value - middle.micro_f1.value)
    assert first.seen > first.micro_f1.value
    assert curve.read(tmp_path / "curve" / "curve.json") == found


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"PK", "other", "texts"])
def test_a_damaged_point_is_trained_again_and_that_is_said(content, draw, fits, tmp_path, capfd):
    found = draw()
    path = max((tmp_path / "curve").glob("*.npz"))
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        other = {"seen": 1.0, "probabilities": np.zeros((2, 2), np.float32)}
        np.savez(path, **(other if content == "other" else {**other, "probabilities": np.array("text")}))
    capfd.readouterr()
    assert draw() == found and len(fits) == 4
    assert f"{path} is damaged" in capfd.readouterr().err


@pytest.mark.slow
def test_a_second_call_trains_nothing_and_a_killed_one_goes_on(draw, fits, monkeypatch):
    def killed(*arguments, **others):
        if len(fits) == 2:
            raise KeyboardInterrupt
        return spied(*arguments, **others)

    spied = fit.fit
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fit, "fit", killed)
        draw()
    found = draw()
    assert len(fits) == 3
    assert draw() == found and len(fits) == 3


@pytest.mark.slow
def test_another_judging_makes_the_figures_anew_and_trains_nothing(draw, fits, tmp_path):
    draw()
    other = draw(judging=Judging(folds=7, draws=60))
    assert len(fits) == 3 and other.judging == Judging(folds=7, draws=60)
    fits.clear()
    fresh = draw(folder=tmp_path / "fresh", judging=Judging(folds=7, draws=60))
    assert len(fits) == 3 and fresh.points == other.points


@pytest.mark.slow
def test_points_of_another_recipe_are_not_taken(draw, fits):
    draw()
    draw(Experiment(("one",), LINEAR, Training(epochs=2)))
    assert len(fits) == 6


def drawn(gain, low, high):
    score, gained = Interval(0.8, 0.79, 0.81), Interval(gain, low, high)
    return curve.Curve([curve.Point(1000, 0.99, score, gained), curve.Point(4000, 0.95, score, gained)], 100)


def test_the_verdict_counts_by_doubling_and_says_help_only_where_the_interval_does():
    helps = curve.verdict(drawn(0.02, 0.01, 0.03))
    assert (
        "each doubling of the photos brought +0.010 micro-F1 (95% +0.005 to +0.015)" in helps
        and "more photos help" in helps
    )
    assert "0.150 higher than on dev" in helps
    assert "do not show" in curve.verdict(drawn(0.02, -0.01, 0.03))


@pytest.mark.slow
def test_the_points_are_told_in_columns(draw):
    lines = curve.summary(draw()).splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["10", "58", "192"]
