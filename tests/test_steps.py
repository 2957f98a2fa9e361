import types

from mlob import steps
from mlob.features import table
from mlob.recipes import LINEAR, Experiment
from mlob.runs.task import Task


def test_stores_that_were_seen_to_need_no_look_at_the_photos():
    work = types.SimpleNamespace(extracted={"set"}, stores=lambda model: {"set": "folder"})  # without a data set
    steps.extract(work, ["wide", "deep"])
    assert work.extracted == {"set"}


def test_the_models_of_a_suite_ask_each_store_once_what_it_holds(made, write_store, tmp_path, monkeypatch):
    stores = {name: write_store(tmp_path / name, made) for name in ("one", "other")}
    experiments = {"wide": Experiment(("one", "other"), LINEAR), "deep": Experiment(("other",), LINEAR)}
    tasks = {name: (name, own, made, {part: stores[part] for part in own.stores}) for name, own in experiments.items()}
    expected, asked = {name: Task(*tasks[name]).identity for name in tasks}, []
    digest = table.content_digest
    monkeypatch.setattr(table, "content_digest", lambda *where: asked.append(where[0]) or digest(*where))
    work = types.SimpleNamespace(dataset=made, memory_bytes=None, held={})
    work.first_experiment, work.stores = experiments.get, lambda name: tasks[name][3]
    assert {name: steps.task_of(work, name).identity for name in (*tasks, *tasks)} == expected
    assert asked == [stores["one"], stores["other"]]
