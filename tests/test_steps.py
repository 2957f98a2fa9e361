import types

from mlob import steps


def test_stores_that_were_seen_to_need_no_look_at_the_photos():
    work = types.SimpleNamespace(extracted={"set"}, stores=lambda model: {"set": "folder"})  # without a data set
    steps.extract(work, ["wide", "deep"])
    assert work.extracted == {"set"}
