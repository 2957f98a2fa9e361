"""The page shows what a network looks like inside, and runs none."""

import ast
import pathlib

import numpy as np

import mlob
from mlob.reports import inside
from mlob.reports.photos import Photo
from mlob.runs.inside import Inside

REPORTS = pathlib.Path(mlob.__file__).parent / "reports"


def seen_inside(*, reads_photos=True):
    """A network's inside, made up: one photo with a right label, one with a wrong one."""
    generator = np.random.default_rng(0)
    pictures = lambda *shape: generator.integers(0, 256, shape, np.uint8)  # noqa: E731
    count = 2 if reads_photos else 0
    return Inside(
        identity="",
        filters=pictures(20 * bool(count), 3, 3, 3),
        liked=pictures(count, 16, 16, 3),
        liked_labels=np.arange(count),
        log_odds=np.array([[-2, 2]] * count, np.float32).reshape(-1, 2),
        stages=np.array(["low", "high"]),
        maps=pictures(2, 8, 12, 12),
        photos=pictures(2, 16, 16, 3),
        ids=np.array(["a", "b"]),
        labels=np.array([1, 0]),
        is_right=np.array([True, False]),
        probabilities=np.array([0.875, 0.75], np.float32),
        places=pictures(2, 16, 16),
    )


def shown(written, **changes):
    pictures = inside.pictures("tuned", seen_inside(**changes), lambda name: Photo(name, None, [1, 2]))
    return " ".join(written(inside=[pictures]).partition('<h2 id="inside">')[2].partition("</section>")[0].split())


def test_each_picture_has_a_sentence_that_says_how_to_read_it(written):
    text = shown(written)
    for words in ("orange where it speaks for the label", "starting from grey noise", "white where it responds most"):
        assert words in text
    assert "The filters of the first layer, in the layer's order" in text and "<strong>tuned</strong>" in text
    assert text.count("<img") == 2 + 2 + 2 + 1
    assert "0.119 → 0.881" in text


def test_labels_are_named_right_ones_apart_from_wrong_ones(written):
    right, wrong = shown(written).partition("Given, but not annotated")[::2]
    assert "0.875" in right and "&lt;b&gt;Tom &amp; Co&lt;/b&gt;" in right and "0.750" not in right
    assert "0.750" in wrong and "Dress" in wrong


def test_a_network_of_maps_says_what_it_lacks(written):
    text = shown(written, reads_photos=False)
    assert "tuned reads maps of a layer that was not trained" in text and "grey noise" not in text
    assert text.count("<img") == 2 + 2


def test_without_a_network_there_is_no_such_section(written):
    assert 'id="inside"' not in written() and 'href="#inside"' not in written()


def test_a_sheet_has_each_tile_enlarged_in_its_place():
    tiles = np.arange(20, dtype=np.uint8)[:, None, None] * np.ones((1, 12, 12), np.uint8)
    whole = inside.sheet(tiles)
    step = 24 + inside.GAP
    assert whole.shape == (2 * step - inside.GAP, 16 * step - inside.GAP, 3)
    assert (whole[:24, step : step + 24] == 1).all() and (whole[step:, :24] == 16).all()
    assert (whole[step:, 4 * step :] == 255).all()


def test_reports_run_no_network():
    for path in REPORTS.glob("*.py"):
        nodes = [
            node
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Import | ast.ImportFrom)
        ]
        names = [getattr(node, "module", None) or alias.name for node in nodes for alias in node.names]
        assert not [name for name in names if name.startswith(("keras", "tensorflow", "mlob.models", "mlob.training"))]
