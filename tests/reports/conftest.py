import json

import pytest


def score(value):
    return {"cross_fitted": value, "low": value - 0.02, "high": value + 0.02, "in_sample": value + 0.01}


def result(name, value, **changes):
    """One result.json, or with weights={member: weight} one method of ensemble.json."""
    made = {
        "method": name,
        "members": [name],
        "micro_f1": score(value),
        "macro_f1": score(value - 0.1),
        "thresholds": "one global",
        "parameters": {"own": 2_820_068, "total": 23_681_548},
        "seconds": {"features": 41.2, "training": 8.1},
        "processor": "a processor",
        "weights": "imagenet",
        "note": "",
    }
    return made | changes


def method(name, value, rule, weights):
    return result(name, value, thresholds=rule, weights=weights, members=list(weights))


@pytest.fixture
def write_result():
    """Write one model's result.json: write_result(folder, method, micro-F1, field=value, …)."""

    def write(folder, name, value, **changes):
        (folder / name).mkdir(parents=True)
        (folder / name / "result.json").write_text(json.dumps(result(name, value, **changes)))

    return write


@pytest.fixture
def suite(tmp_path, write_result):
    """runs/<suite> with two models, their histories and an ensemble of which "PSO, per label" is chosen."""
    folder = tmp_path / "demo"
    write_result(folder, "xception", 0.61)
    write_result(folder, "lite", 0.58, weights="random", note="below logistic by 0.012")
    for name in ("xception", "lite"):
        lines = ["epoch,loss,dev_loss,dev_micro_f1,learning_rate", "1,0.9,1.0,0.3,0.01", "2,0.5,0.7,0.5,0.01"]
        (folder / name / "history.csv").write_text("\n".join(lines) + "\n")
    mixed = {"xception": 0.75, "lite": 0.25}
    ensemble = {
        "suite": "demo",
        "members": list(mixed),
        "folds": 5,
        "test_photos": 2,
        "swarm": {"history": [0.6, 0.62, 0.63]},
        "chosen": {"method": "PSO, per label", "why": "highest cross-fitted micro-F1 of all"},
        "methods": [
            method("PSO", 0.64, "one global", mixed),
            method("PSO", 0.65, "per label", mixed),
            method("constant", 0.35, "0.5", {}),
            method("best single", 0.61, "one global", {"xception": 1.0}),
            method("mean", 0.62, "one global", dict.fromkeys(mixed, 0.5)),
        ],
        "labels": [
            {
                "id": 1,
                "name": "Dress",
                "group": "category",
                "train": 130,
                "validation": 35,
                "f1": 0.7,
                "precision": 0.8,
                "recall": 0.6,
            },
            {
                "id": 2,
                "name": "<b>Tom & Co</b>",
                "group": "brand",
                "train": 0,
                "validation": 2,
                "f1": 0.0,
                "precision": 0.0,
                "recall": 0.0,
            },
        ],
    }
    (folder / "ensemble").mkdir()
    (folder / "ensemble" / "ensemble.json").write_text(json.dumps(ensemble))
    return folder
