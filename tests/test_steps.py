import pathlib
import types

from mlob import reporting, steps
from mlob.features import table
from mlob.recipes import LINEAR, LOGISTIC, Experiment, FeatureSet, Network, Suite, Training
from mlob.runs import model as runs
from mlob.runs.job import Job


def test_stores_that_were_seen_to_need_no_look_at_the_photos():
    work = types.SimpleNamespace(extracted={"set"}, stores=lambda model: {"set": "folder"})  # without a data set
    steps.extract(work, ["wide", "deep"])
    assert work.extracted == {"set"}


def test_the_models_of_a_suite_ask_each_store_once_what_it_holds(made, write_store, tmp_path, monkeypatch):
    stores = {name: write_store(tmp_path / name, made) for name in ("one", "other")}
    experiments = {"wide": Experiment(("one", "other"), LINEAR), "deep": Experiment(("other",), LINEAR)}
    tasks = {name: (name, own, made, {part: stores[part] for part in own.stores}) for name, own in experiments.items()}
    expected, asked = {name: Job(*tasks[name]).identity for name in tasks}, []
    digest = table.content_digest
    monkeypatch.setattr(table, "content_digest", lambda *where: asked.append(where[0]) or digest(*where))
    work = types.SimpleNamespace(dataset=made, memory_bytes=None, held={}, suite=Suite("nowhere", ("wide", "deep")))
    work.first_experiment, work.stores = experiments.get, lambda name: tasks[name][3]
    assert {name: steps.job_of(work, name).identity for name in (*tasks, *tasks)} == expected
    assert asked == [stores["one"], stores["other"]]


def suite_of(**models):
    """A workspace of these models, by name, the first of which is a member."""
    first, *rest = models
    suite = Suite("nowhere", (first,), tuple(rest))
    work = types.SimpleNamespace(suite=suite, members=suite.members, models=lambda: [*models])
    work.first_experiment, work.run = models.get, pathlib.Path
    work.start = lambda model: models[model].start
    return work


def test_models_on_other_stores_are_not_asked_for_when_heads_are_compared_with_the_reference(monkeypatch):
    models = {
        "wide": Experiment(("lite",)),
        "other": Experiment(("pixels",)),
        "logistic": Experiment(("lite",), LOGISTIC),
    }
    work, asked = suite_of(**models), []
    work.experiment, work.is_dry, work.dataset = models.get, False, None
    work.feature_sets = lambda model: {"lite": FeatureSet("efficientnet_lite0")}
    monkeypatch.setattr(runs, "wants_reference", lambda dataset, reference: True)
    monkeypatch.setattr(runs, "is_done", lambda folder, identity: False)
    monkeypatch.setattr(steps, "train", lambda work, models: [])
    monkeypatch.setattr(steps, "job_of", lambda work, model: types.SimpleNamespace(identity=asked.append(model)))
    steps.train_reference(work)  # SET= may not fit the others
    assert asked == ["wide"]


def test_the_table_of_networks_has_these_and_the_heads_that_they_begin_with():
    tuned = Experiment(("pixels",), network=Network(extractor="lite"), start="lite")
    scratch = Experiment(("pixels",), network=Network(extractor="lite"))
    work = suite_of(other=Experiment(("lite",), LINEAR), lite=Experiment(("lite",)), tuned=tuned, scratch=scratch)
    assert [*reporting.networks(work)] == ["lite", "tuned", "scratch"]


def test_models_with_other_dev_photos_are_named_and_not_compared_on_dev(capsys):
    few = Experiment(("lite",), training=Training(limit=50))
    work = suite_of(all=Experiment(("lite",)), few=few, head=Experiment(("lite",), LINEAR))
    assert reporting.of_equal_dev(work) == {"all": pathlib.Path("all"), "head": pathlib.Path("head")}
    assert capsys.readouterr().err.count("few") == 1
    alike = suite_of(few=few, same=few)
    assert [*reporting.of_equal_dev(alike)] == ["few", "same"] and capsys.readouterr().err == ""
