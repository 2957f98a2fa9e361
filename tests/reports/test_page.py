import dataclasses
import html
import html.parser
import itertools
import json
import re
import shutil

import pytest

from mlob.ensemble import measures
from mlob.errors import InputError
from mlob.evaluation.bootstrap import Interval
from mlob.evaluation.diagnosis import Bin
from mlob.evaluation.tasks import TaskScores
from mlob.recipes import Judging, Metric
from mlob.reports import drawn, histories, page
from mlob.reports.photos import Labelled, Photo


class Elements(html.parser.HTMLParser):
    """The start tags of a page with their attributes; fails on a page whose tags do not nest."""

    VOID = ("meta", "input", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_equal_inputs_give_equal_bytes(written):
    assert written() == written()


def test_nothing_is_fetched(written):
    links = [
        value
        for _, attributes in Elements(written()).found
        for key, value in attributes.items()
        if key in ("src", "href", "data", "action")
    ]
    assert links and all(value.startswith(("#", "data:image/jpeg;base64,")) for value in links)
    assert not re.search(r"@import|url\((?!#)|fetch\(", written())


def test_tags_nest_and_ids_are_unique(written):
    ids = [attributes["id"] for _, attributes in Elements(written()).found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_what_is_higher_than_the_choice_and_could_not_be_chosen_is_told(written, write_result, suite):
    assert "is higher" not in written()
    write_result(suite / "logistic", 0.71)
    path = suite / "lite" / "result.json"
    path.write_text(path.read_text().replace("0.58", "0.72"))
    words = " ".join(written().split())
    assert "logistic is higher, 0.710, but it is not part of the ensemble" in words and "lite is higher" not in words
    path = suite / "ensemble" / "ensemble.json"
    path.write_text(path.read_text().replace("0.35", "0.75"))
    assert "constant is higher, 0.750, but it gives every photo the same labels" in " ".join(written().split())


def test_the_page_opens_with_what_a_layman_needs_and_tells_then_how_it_was_measured(written, suite):
    path = suite / "ensemble" / "ensemble.json"
    content = json.loads(path.read_text())
    score = content["headline"]["micro_f1"]
    content["headline"] |= {"precision": score | {"value": 0.764}, "recall": score | {"value": 0.668}}
    content["labels"][0]["f1"] = 0.9
    path.write_text(json.dumps(content))
    words = " ".join(re.sub(r"<[^>]*>", " ", written().partition("</style>")[2]).split())
    order = [
        "Of every 100 labels it gives, 76 are right. Of every 100 labels it should give, it finds 67.",
        "Good at 1 label: Dress",
        "Too few photos 1 label: &lt;b&gt;Tom",
        "Next Take out 12 photos found in two splits",
        "Then Add photos for 1 label with fewer than 20 photos to train on",
        "How it was measured Micro-F1 0.640 on validation",
    ]
    places = [words.find(part) for part in order]
    assert -1 not in places and places == sorted(places)


def test_tasks_have_figures_without_thresholds_and_name_what_failed_and_what_train_lacks(written, suite):
    words = " ".join(re.sub(r"<[^>]*>", " ", written().partition("</style>")[2]).split())
    task = words[words.index("A task is a group of labels") : words.index("Top-1 of each model")]
    named = "category not in train: &lt;b&gt;Tom &amp; Co&lt;/b&gt; never right: Dress 37 3 0.700 0.680 to 0.720"
    assert re.search(rf"{re.escape(named)} \S 0\.600", task)  # of three labels there is no top-5
    assert "0.970" in task
    models = words[words.index("Top-1 of each model") :]
    assert models.startswith("Top-1 of each model Model category xception 0.700 0.680 to 0.720 ")
    for path in suite.glob("*/*.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "tasks" in content:
            path.write_text(json.dumps(content | {"tasks": []}))
    assert "A task is a group" not in written()


def test_whether_probabilities_can_be_believed_is_answered_with_yes_or_no(written, diagnosis):
    for off, answer in (
        (None, "believed? Yes. Labels are true about as often as their probabilities say"),
        (
            Bin(1008, predicted=0.99, observed=0.12),
            "believed? No. Of labels with a probability of about 99%, 12% are true (1,008 decisions).",
        ),
    ):
        reliability = dataclasses.replace(diagnosis.reliability, off=off)
        page = written(diagnosis=dataclasses.replace(diagnosis, reliability=reliability))
        assert answer in " ".join(re.sub(r"<[^>]*>", " ", page).split())


def test_the_headline_is_the_ensembles_own_with_its_interval_and_how_it_was_judged(written):
    words = " ".join(written().split())
    assert (
        "Micro-F1 0.640 on validation (95% interval 0.620 to 0.660), by the ensemble of 2 members. New photos are "
        "decided by PSO, per-label thresholds." in words
    )
    assert "cross-fitted in 5 folds: the method that decides on a validation photo was chosen" in words
    assert (
        "the ensemble gains +0.0300 (95% interval +0.0100 to +0.0500) on best single, one threshold and +0.0200 (95% "
        "interval -0.0100 to +0.0400) on mean, one threshold." in words
    )


def test_it_is_told_what_was_fixed_in_advance_and_whether_that_was_left(written, suite):
    why = " ".join(written().split())
    assert "before anything was measured: mean, one threshold. Against it stands the highest of 4 combinations" in why
    assert (
        "it gains +0.0300 (95% interval +0.0100 to +0.0500). That is clear, so the highest is taken instead: PSO" in why
    )
    path = suite / "ensemble" / "ensemble.json"
    content = json.loads(path.read_text())
    content["chosen"] |= {
        "method": "mean",
        "thresholds": "one threshold",
        "gain": {"value": 0.01, "low": -0.01, "high": 0.02},
    }
    path.write_text(json.dumps(content))
    assert "That is not clearly a gain, so it stays." in " ".join(written().split())


def test_a_suite_about_a_task_opens_with_the_figure_of_its_task_and_the_labels_of_that_alone(written):
    words = " ".join(re.sub(r"<[^>]*>", " ", written(task="category").partition("</style>")[2]).split())
    order = [
        "Of every 100 photos, 70 get the right category.",
        "How it was measured Top-1 of category 0.700 on validation (95% interval 0.680 to 0.720), by the ensemble:",
        "No threshold takes part.",
        "Micro-F1 0.640 over all labels on validation",
    ]
    places = [words.find(part) for part in order]
    assert -1 not in places and places == sorted(places)
    opening = words[: words.index("How it was measured")]
    assert "Tom" not in opening and "labels it gives" not in opening and "Too few photos" not in opening
    assert "Too few photos" in " ".join(re.sub(r"<[^>]*>", " ", written().partition("</style>")[2]).split())


def test_without_an_ensemble_the_best_model_answers_for_the_task(tmp_path, write_result, facts, dataset):
    for name, value in (("weak", 0.7), ("strong", 0.6)):
        task = TaskScores("colour", 9, 3, {"top_1": Interval(value, value - 0.1, value + 0.1)}, 1.0, [], [])
        write_result(tmp_path / "runs" / name, value, tasks=[task] if name == "strong" else [])
    page.write(tmp_path / "index.html", tmp_path / "runs", dataset.labels, page.Findings(facts, task="colour"))
    text = " ".join((tmp_path / "index.html").read_text().split())
    assert "Of every 100 photos, 60 get the right colour." in text and "by strong: so often" in text
    page.write(tmp_path / "index.html", tmp_path / "runs", dataset.labels, page.Findings(facts, task="size"))
    assert "get the right" not in (tmp_path / "index.html").read_text()  # which no model learns


def test_the_headline_tells_how_the_labels_of_test_were_met_where_there_are_some(written, suite):
    assert "On the test split" not in written()
    path = suite / "ensemble" / "ensemble.json"
    test = {"photos": 1265, "figure": {"value": 0.89, "low": 0.88, "high": 0.9}}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test": test}))
    words = " ".join(re.search(r'<p class="measured">(.*?)</p>', written(), re.S).group(1).split())
    assert words.endswith(
        "decided by PSO, per-label thresholds. On the test split, micro-F1 is 0.890 (95% interval 0.880 to 0.900). Its "
        "1,265 photos played no part in any choice."
    )


def test_sections_stand_in_reading_order_and_the_navigation_leads_to_each(written):
    text = written()
    sections = ["results", "tasks", "members", "dev", "training", "labels", "reliability", "confusions", "mistakes"]
    sections += ["doubts", "photos", "data"]
    navigation = re.search(r"<nav.*?</nav>", text, re.S).group()
    assert re.findall(r'<h2 id="(\w+)">', text) == re.findall(r'<a href="#(\w+)">', navigation) == sections
    assert set(re.findall(r'<a href="#(\w+)">', text)) <= {*sections, "rules"}


def test_random_weights_are_warned_of_and_others_are_not(written, suite):
    assert '<p class="warning"' in written() and ">RANDOM<" in written()
    path = suite / "lite" / "result.json"
    path.write_text(path.read_text().replace('"random"', '"imagenet"'))
    assert '<p class="warning"' not in written() and "RANDOM" not in written()


def test_names_are_escaped_everywhere(written):
    text = written()
    assert "<b>Tom" not in text and "&lt;b&gt;Tom &amp; Co&lt;/b&gt;" in text
    assert text.count("</script>") == 1 and "v&lt;/script&gt;" in text


@pytest.mark.parametrize("model", ['"><img src=x onerror=alert(1)>', "back\\slash \\1", "a b", "连"])
def test_a_folder_of_any_name_has_its_search_on_the_page_and_no_markup_of_its_own(written, suite, model):
    (suite / "lite").rename(suite / model)
    text = written()
    found = Elements(text).found
    assert not any({"onerror", "onload"} & {*attributes} for _, attributes in found)
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    assert len(ids) == len(set(ids)) and all(re.fullmatch(r"[\w.-]+", name) for name in ids)
    assert f"Search: {html.escape(model, quote=False)}" in text.replace("&#34;", '"')


def test_every_sortable_header_is_a_button_and_tells_its_order(written):
    tables = re.findall(r'<table class="sortable".*?</thead>', written(), re.S)
    assert len(tables) == 14
    for table in tables:
        heads = re.findall(r"<th .*?</th>", table, re.S)
        assert all('aria-sort="none"' in head and '<button type="button">' in head for head in heads)


def test_what_papers_report_stands_beside_results_on_the_papers_labels_alone(written, fashion):
    assert ">paper<" in written(labels=fashion)
    assert "paper<" not in written() and "iMaterialist" not in written()


def names_in(text, table):
    rows = re.search(rf'<tbody id="{table}">(.*?)</tbody>', text, re.S).group(1)
    return [name.strip() for name in re.findall(r'<th scope="row">([^<]*?)\s*<', rows)]


def test_each_method_stands_once_at_the_fixed_rule_below_the_ensemble_and_other_rules_in_a_table_of_their_own(
    written, fashion
):
    text = written(labels=fashion)
    names = names_in(text, "methods")
    assert names[:7] == ["ensemble", "PSO", "mean", "best single", "xception", "lite", "constant"]
    assert "MLoB: Xception_large_precompute" in names[7:] and len(names) - 7 == text.count(">paper<") - 1
    assert names_in(text, "other-rules") == ["PSO, per-label thresholds"]
    assert text.count(">decides<") == 1 and "since the best of several rules would flatter it" in " ".join(text.split())


def test_pairs_of_the_first_table_stand_before_those_of_other_rules(written):
    text = written()
    assert names_in(text, "pairs") == ["ensemble", "ensemble", "mean, one threshold"]
    assert names_in(text, "other-pairs") == ["ensemble"]


def test_every_field_that_narrows_has_a_label_and_what_it_narrows(written):
    found = Elements(written()).found
    ids = {attributes.get("id") for _, attributes in found}
    fields = [attributes for _, attributes in found if "data-narrows" in attributes]
    labelled = {attributes["for"] for tag, attributes in found if tag == "label"}
    assert len(fields) == 8
    assert all(field["data-narrows"] in ids and field["id"] in labelled for field in fields)
    assert {field["list"] for field in fields if "list" in field} <= ids


def test_labels_have_their_thresholds(written, suite):
    cell = r'<td class="number" data-value="0.25">0.250</td>'
    assert written().count(cell) == 1
    path = suite / "ensemble" / "ensemble.json"
    content = json.loads(path.read_text())
    content["labels"][1]["threshold"] = 0.125
    path.write_text(json.dumps(content))
    assert cell not in written() and 'data-value="0.125">0.125<' in written()


def test_what_no_validation_photo_can_tell_is_a_dash_and_not_drawn(written, suite, monkeypatch):
    path = suite / "ensemble" / "ensemble.json"
    content = json.loads(path.read_text())
    content["labels"][1] |= {"validation": 0, "accuracy": 1.0}
    content["groups"][1]["validation"] = 0
    path.write_text(json.dumps(content))
    dots = []
    monkeypatch.setattr(drawn.figures, "f1_by_frequency", lambda *values: dots.append(values) or "")
    words = " ".join(re.sub(r"<[^>]*>", " ", written()).split())
    none = " \N{EN DASH}"
    assert f"&lt;b&gt;Tom &amp; Co&lt;/b&gt; brand 0 0 0.250{4 * none}" in words and f"brand 1 0{5 * none}" in words
    assert dots == [([130], [0.7])]


def test_figures_over_products_say_so(written, suite):
    path = suite / "ensemble" / "ensemble.json"
    assert "of ensembles are over" not in " ".join(written().split())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"products": 1234}))
    assert "the figures of ensembles are over 1,234 products, those of single models" in " ".join(written().split())


def test_a_swarm_that_found_nothing_better_is_not_drawn(written, suite):
    path = suite / "ensemble" / "ensemble.json"
    assert "The swarm's search" in html.unescape(written())
    path.write_text(json.dumps(json.loads(path.read_text()) | {"swarm": [0.6, 0.6]}))
    assert "The swarm's search" not in html.unescape(written())


def test_an_ensemble_of_another_version_is_left_out_of_the_page(written, suite):
    path = suite / "ensemble" / "ensemble.json"
    path.write_text(json.dumps({"members": ["xception"], "methods": []}))
    assert "by xception, one threshold" in " ".join(written().split()) and 'id="members"' not in written()


def test_steps_of_an_epoch_are_batches_of_the_training_rows(suite):
    assert histories.read(suite)["xception"].step == [4, 8]  # 100 rows in batches of 32


def test_mistakes_and_doubts_are_shown_with_their_photos(written):
    text = written()
    shown = {
        name: re.search(rf'<h2 id="{name}">(.*?)</section>', text, re.S).group(1) for name in ("mistakes", "doubts")
    }
    words = {name: " ".join(re.sub(r"<[^>]*>", " ", part).split()) for name, part in shown.items()}
    assert "✕ wrong: Dress 0.950" in words["mistakes"] and "○ missed: Dress 0.010" in words["mistakes"]
    assert "+ add: Dress 0.950" in words["doubts"] and "remove: Dress 0.010" in words["doubts"]
    assert all(part.count("data:image/jpeg;base64,") == part.count("<li>") for part in shown.values())


def test_photos_and_labels_that_no_model_can_know_are_told_where_they_are_left_out(written, diagnosis):
    assert "not counted" not in written()
    words = " ".join(written(diagnosis=dataclasses.replace(diagnosis, unseen=2, unlearned=1)).split())
    assert "2 photos that are missing or unreadable are not counted here or below: no model saw them." in words
    assert "Nor is 1 label that no train photo has." in words


def test_photos_show_what_was_right_missed_and_wrong(written):
    cards = re.search(r'<ul id="cards"(.*?)</ul>', written(), re.S).group(1)
    first, second, *_ = re.findall(r"<li>(.*?)</li>", cards, re.S)
    assert re.findall(r'class="verdict (\w+)"', first) == ["correct", "missed"]
    assert re.findall(r'class="verdict (\w+)"', second) == ["wrong"] and "v2: no picture" in second
    assert cards.count("data:image/jpeg;base64,") == 15


def test_what_is_unknown_is_counted_and_is_not_called_wrong(written, facts):
    assert "unknown<" not in written() and "are unknown" not in written()
    splits = facts.splits | {"train": dataclasses.replace(facts.splits["train"], unknown=5)}
    gallery = [Labelled(Photo("v1", None, [0]), [0, 1], [1])]
    text = " ".join(written(facts=dataclasses.replace(facts, splits=splits), gallery=gallery).split())
    assert "train: of 12 entries (a photo and a label) 5 are unknown: neither learned from nor judged." in text
    cards = re.search(r'<ul id="cards"(.*?)</ul>', text).group(1)
    assert re.findall(r'class="verdict (\w+)"', cards) == ["correct", "unknown"]
    assert "<b>?</b> unknown</span> (predicted, and nobody knows)." in text


def test_photos_stop_where_the_page_would_grow_too_large(written):
    endless = (Labelled(Photo(str(number), b"x" * 300_000, [0]), []) for number in itertools.count())
    text = written(gallery=endless)
    assert len(text) < 4_000_000
    assert re.search(r'<ul id="cards"(.*?)</ul>', text, re.S).group(1).count("<li>") == 8
    assert next(endless).photo.id == "9"


def test_without_photos_and_diagnosis_the_page_has_no_empty_sections(written):
    text = written(gallery=(), diagnosis=None)
    assert Elements(text) and "<img" not in text
    assert re.findall(r'<h2 id="(\w+)">', text) == ["results", "tasks", "members", "dev", "training", "labels", "data"]


def test_models_alone_make_a_page_and_the_best_is_its_headline(tmp_path, write_result, facts, dataset):
    write_result(tmp_path / "runs" / "weak", 0.5)
    write_result(tmp_path / "runs" / "strong", 0.6)
    page.write(tmp_path / "index.html", tmp_path / "runs", dataset.labels, page.Findings(facts))
    text = (tmp_path / "index.html").read_text()
    assert "by strong, one threshold" in " ".join(text.split())
    assert Elements(text) and text.count("<figure>") == 2


def test_a_set_without_train_has_a_page(written, facts):
    of_validation = {"splits": {"validation": facts.splits["validation"]}, "counts": {"validation": [3, 2, 0]}}
    nothing = {"shifted": None, "unseen": [], "equal_between": [], "equal_within": []}
    assert "None found" in written(facts=dataclasses.replace(facts, **of_validation, **nothing))


@pytest.mark.parametrize("history", ["epoch,loss\n1,0.5\n", "epoch,loss,dev_loss,dev_micro_f1\n1,0.5,high,0.3\n"])
def test_a_history_of_another_layout_is_refused_by_name(written, suite, history):
    (suite / "xception" / "history.csv").write_text(history)
    with pytest.raises(InputError, match=r"xception/history.csv: expected the columns epoch, loss"):
        written()


def test_recipes_are_compared_on_dev_with_a_verdict_where_the_interval_allows_one(written):
    words = " ".join(re.sub(r"<[^>]*>", " ", written()).split())
    assert "wide 0.630 0.610 to 0.650 +0.0300 +0.0100 to +0.0500 better" in words
    assert "xception 0.600 0.580 to 0.620 +0.0000 -0.0200 to +0.0200 base" in words
    assert "lite 0.560 0.540 to 0.580 -0.0400 -0.0600 to -0.0200 worse" in words
    assert "The 1,340 dev photos" in words
    assert "Recipes compared on dev" not in written(comparison=None)


def test_a_search_shows_its_best_trials_and_what_choosing_is_worth(written):
    words = " ".join(re.sub(r"<[^>]*>", " ", written()).split())
    assert "3 trials on 1,340 dev photos. The best one gains +0.0300" in words and "gains +0.0100" in words
    assert "head.dropout=0.2" in words and "the recipe as it is" in words and "training.mixup=0.1" not in words


def test_what_was_not_searched_and_not_drawn_is_left_out(written, suite):
    for path in suite.glob("*/*/*.json"):
        path.unlink()
    text = written()
    assert "Learning curves" not in text and "Search:" not in text


def test_of_many_models_the_best_are_drawn(written, write_result, suite, monkeypatch):
    for number in range(20):
        write_result(suite / f"m{number:02}", 0.62 + number / 100)
        for name in ("history.csv", "recipe.json"):
            shutil.copy(suite / "lite" / name, suite / f"m{number:02}")
    models = []
    monkeypatch.setattr(drawn.figures, "losses", lambda learned: models.append(list(learned)) or "")
    written()
    assert models == [[f"m{number:02}" for number in range(8, 20)]]


def test_a_stacked_method_shows_no_weights_and_the_others_do(written, suite):
    path = suite / "ensemble" / "ensemble.json"
    content = json.loads(path.read_text())
    content["methods"].append(content["methods"][1] | {"method": "stacked linear"})
    path.write_text(json.dumps(content))
    table = re.search(r'<h3 id="weights">.*?</table>', written(), re.S).group()
    words = " ".join(re.sub(r"<[^>]*>", " ", table).split())
    assert "PSO 0.75 0.25" in words and "stacked linear \N{EN DASH} \N{EN DASH}" in words


METRICS = {
    "macro_f1": {},
    "image_f_beta": {},
    "mean_average_precision": {},
    "top_1": {"group": "category"},
    "saved_cost": {"cost_false_negative": 4.0},
    "recall_at_precision": {"wished": 0.9},
    "precision_at_recall": {"wished": 0.9},
}


@pytest.mark.parametrize("name", METRICS)
def test_the_page_speaks_of_the_metric_that_everything_was_made_for(name, written, suite):
    metric = Metric(name, **METRICS[name])
    for path in (*suite.glob("*/result.json"), suite / "ensemble/ensemble.json"):
        content = json.loads(path.read_text())
        content["judging"] = dataclasses.asdict(Judging(metric=metric))
        for holder in (content, *content.get("methods", [])):
            key = "headline" if holder is content and "headline" in content else "scores"
            figure = {end: value / 2 for end, value in holder[key]["micro_f1"].items()}
            holder[key] = {name: figure, **{other: own for other, own in holder[key].items() if other != name}}
        if "labels" in content:
            content |= {"automated": 0.25 if "wished" in METRICS[name] else None}
            content["labels"][0]["left"] = "wished" in METRICS[name]
        path.write_text(json.dumps(content))
    shown = written()
    words = " ".join(re.sub(r"<[^>]*>", " ", shown.partition("</style>")[2]).split())
    title = measures.heading(metric)
    assert f"{title} 0.320 on validation" in words and measures.meaning(metric) in html.unescape(words)
    assert f'<button type="button">{title}</button>' in shown
    assert '<button type="button">Micro-F1</button>' in shown  # as one of the others
    assert ("25% of the decisions" in words) == ("left to people: Dress" in words) == ("wished" in METRICS[name])
    assert f"gain is the {measures.title(metric)} of the first" in words
