"""Models compared by a task over all their trainings."""

import dataclasses

import numpy as np
import pytest

from mlob import predictions
from mlob.recipes import Judging
from mlob.runs import repeats

JUDGING = Judging(draws=200)


@pytest.fixture
def dataset(made):
    """Each photo of validation and test has a colour, nine of ten of these a length, too."""
    splits = {
        name: dataclasses.replace(made[name], annotations=coloured(made[name])) for name in ("validation", "test")
    }
    return dataclasses.replace(made, splits={**made.splits, **splits})


def coloured(split):
    targets = np.zeros((len(split.ids), 4), np.uint8)
    targets[np.arange(len(targets)), np.arange(len(targets)) % 2] = 1
    targets[::10, 2] = 1
    return targets


def written(folder, dataset, share, learns=slice(None)):
    """A run that gives a share of the photos their labels."""
    generator, tables = np.random.default_rng(0), {}
    for name in ("validation", "test"):
        targets = coloured(dataset[name])
        probabilities = generator.random(targets.shape) * 0.4
        seen = generator.random(len(targets)) < share
        probabilities[seen] += targets[seen] * 0.5
        probabilities[:, ~np.isin(np.arange(4), np.arange(4)[learns])] = 0
        tables[name] = predictions.Table(dataset[name].ids, probabilities.astype(np.float32))
    predictions.write(folder / "predictions.h5", tables)
    return folder


@pytest.fixture
def trainings(dataset, tmp_path):
    shares = {"first": (0.4, 0.5), "better": (0.8, 0.9), "once": (0.6,)}
    made = {
        model: [written(tmp_path / model / str(number), dataset, share) for number, share in enumerate(own)]
        for model, own in shares.items()
    }
    return {"of another task": [written(tmp_path / "other", dataset, 0.9, slice(2, 4))], **made}


def test_models_that_learn_the_task_are_compared_with_the_first_of_them(dataset, trainings):
    found = repeats.compare(dataset, trainings, "colour", JUDGING)
    assert (found.task, found.against, found.photos) == ("colour", "first", len(dataset["validation"].ids))
    assert [(each.model, each.trainings) for each in found.models] == [("first", 2), ("better", 2), ("once", 1)]
    first, better, once = found.models
    assert better.gain.low > 0 and first.gain.value == 0 and once.top_1.deviation == 0 < better.top_1.deviation
    assert all(each.top_5.value == 1 for each in found.models)  # of two labels


def test_only_photos_with_one_label_of_the_task_count(dataset, trainings):
    found = repeats.compare(dataset, trainings, "length", JUDGING)
    assert found.photos == len(dataset["validation"].ids) // 10 and found.against == "of another task"


def test_without_a_model_that_learns_the_task_there_is_nothing_to_compare(dataset, trainings):
    assert repeats.compare(dataset, {"other": trainings["of another task"]}, "colour", JUDGING) is None


def test_a_test_split_is_judged_where_it_has_labels(dataset, trainings):
    found = repeats.compare(dataset, trainings, "colour", JUDGING)
    assert found.on_test == len(dataset["test"].ids)
    first, better, _ = found.models
    assert first.on_test.value < better.on_test.value and better.on_test.value != better.top_1.value
    without = dataclasses.replace(dataset["test"], annotations=None)
    dataset = dataclasses.replace(dataset, splits={**dataset.splits, "test": without})
    unlabelled = repeats.compare(dataset, trainings, "colour", JUDGING)
    assert unlabelled.on_test == 0 and all(each.on_test is None for each in unlabelled.models)
    assert [each.top_1 for each in unlabelled.models] == [each.top_1 for each in found.models]
