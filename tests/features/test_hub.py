"""Presets of KerasHub: tiny made-up ones, saved as folders and loaded again, through both runtimes."""

import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

from mlob.data.dataset import read_dataset
from mlob.errors import InputError
from mlob.features import backbones, extract, forms, hub, plan, presets, runtimes, weights
from mlob.recipes import Crop, FeatureSet

pytestmark = [
    pytest.mark.slow,  # keras_hub is loaded, and networks are compiled
    pytest.mark.filterwarnings("ignore:Layer 'attn'"),  # of Swin Transformers, which the tests make by themselves
]

SIDE = 32
SIDES = {"dinov2_small": 56, "dinov3_vit_small_lvd1689m": 64}  # others than the folders', which are for any size
SCALE, OFFSET = [0.01, 0.02, 0.03], [-1.0, -0.5, 0.5]


def dinov2(models):
    return models.DINOV2Backbone(
        14, 2, 16, 2, 32, num_register_tokens=3, image_shape=(84, 84, 3), position_embedding_shape=(84, 84, 3)
    )


def dinov3(models):
    return models.DINOV3Backbone(16, 2, 16, 2, 32, num_register_tokens=3, image_shape=(96, 96, 3))


def vit(models):
    return models.ViTBackbone((SIDE, SIDE, 3), 8, 2, 2, 16, 32)


def deit(models):
    return models.DeiTBackbone((SIDE, SIDE, 3), 8, 2, 2, 16, 32)


def swin(models):
    return models.SwinTransformerBackbone((SIDE, SIDE, 3), 8, (2, 1), (2, 4), 4)


def clip(models):
    vision = models.CLIPVisionEncoder(8, 16, 2, 2, 32, image_shape=(SIDE, SIDE, 3))
    return models.CLIPBackbone(vision, models.CLIPTextEncoder(50, 16, 16, 2, 2, 32, max_sequence_length=8), 12)


def siglip(models):
    vision = models.SigLIPVisionEncoder(8, 16, 2, 2, 32, image_shape=(SIDE, SIDE, 3))
    return models.SigLIPBackbone(vision, models.SigLIPTextEncoder(50, 16, 16, 2, 2, 32, max_sequence_length=8))


def resnet(models):
    return models.ResNetBackbone([64], [3], [64, 16], [1, 1], [1, 2], "basic_block")


def hgnet(models):
    filters = [[32, 16, 64, 1, 1, 3], [64, 32, 128, 2, 1, 3]]
    return models.HGNetV2Backbone(
        [1, 2], 32, [64, 128], [3, 16, 32], "relu", False, filters, [False, True], [False, False]
    )


MADE = {
    "dinov2_small": dinov2,
    "dinov3_vit_small_lvd1689m": dinov3,
    "vit_base_patch16_224_imagenet": vit,
    "deit_tiny_distilled_patch16_224_imagenet": deit,
    "swin_tiny_patch4_window7_224": swin,
    "clip_vit_base_patch16": clip,
    "siglip_base_patch16_224": siglip,
    "resnet_18_imagenet": resnet,
    "hgnetv2_b4_ssld_stage2_ft_in1k": hgnet,
}
BEFORE = {"dinov2_small": 4, "dinov3_vit_small_lvd1689m": 4, "deit_tiny_distilled_patch16_224_imagenet": 2}  # or 1
MAPS = ("swin_tiny_patch4_window7_224", "resnet_18_imagenet", "hgnetv2_b4_ssld_stage2_ft_in1k")


def made(folder, name):
    """Save a preset of random weights."""
    import keras_hub

    keras.utils.set_random_seed(len(name))
    path = folder / name
    preset = MADE[name](keras_hub.models)
    shake(preset)
    preset.save_to_preset(str(path))
    converter = {
        "module": "keras_hub.layers",
        "class_name": "ImageConverter",
        "config": {"scale": SCALE, "offset": OFFSET},
    }
    (path / hub.CONVERTER).write_text(json.dumps(converter))
    return path


def shake(model):
    """Let every weight matter: fresh positions, summaries and biases are 0."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.dtype == "float32" and not weight.path.endswith("variance"):
            weight.assign(weight + rng.normal(0, 0.2, weight.shape).astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a folder for each preset, as WEIGHTS= names it."""
    folder = tmp_path_factory.mktemp("presets")
    for name in MADE:
        made(folder, name)
    return folder


def photos_for(name):
    side = SIDES.get(name, SIDE)
    return np.random.default_rng(0).integers(0, 256, (4, side, side, 3), np.uint8)


def recipe(name, pool=None, **fields):
    return FeatureSet(
        f"hub:{name}", SIDES.get(name, SIDE), pool=pool or ("avg" if name in MAPS else "cls_mean"), **fields
    )


def features(name, pools, folder):
    """Give {pool: features} of one network."""
    network = weights.network(recipe(name), weights.at_hand(recipe(name), folder))
    extractors = {pool: backbones.extractor(network, recipe(name, pool)) for pool in pools}
    return {pool: np.array(extractor(photos_for(name), training=False)) for pool, extractor in extractors.items()}


def expected(folder, name):
    """What keras_hub itself gives for photos: its tokens, or map; and what it makes of them where attention does."""
    import keras_hub

    side, photos = SIDES.get(name, SIDE), photos_for(name)
    sized = {"image_shape": (side, side, 3)} if name.startswith(("dinov", "resnet", "hgnet")) else {}
    whole = keras_hub.models.Backbone.from_preset(str(folder / name), **sized)
    pixels = photos.astype(np.float32) * SCALE + OFFSET
    seeing = getattr(whole, "vision_encoder", whole)
    given = {next(iter(seeing.input)): pixels} if isinstance(seeing.input, dict) else pixels
    if name.startswith("hgnet"):  # a map for each stage
        return np.array(seeing(given, training=False)["stage2"]), None
    if not name.startswith("siglip"):
        return np.array(seeing(given, training=False)), None
    return tuple(
        np.array(each) for each in keras.Model(seeing.input, [seeing.post_layer_norm.output, seeing.output])(given)
    )


@pytest.mark.parametrize("name", [name for name in MADE if name not in MAPS])
def test_pools_of_tokens_take_the_summary_and_the_patches_and_leave_registers_out(name, folder):
    tokens, summary = expected(folder, name)
    before = 0 if name.startswith("siglip") else BEFORE.get(name, 1)
    summary = tokens[:, 0] if summary is None else summary
    patches = tokens[:, before:]
    assert patches.shape == (4, 16, 16)
    wanted = {
        "cls": summary,
        "mean": patches.mean(axis=1),
        "cls_mean": np.concatenate([summary, patches.mean(axis=1)], axis=1),
        "grid": patches.reshape(4, 4, 4, 16),
    }
    for pool, rows in features(name, wanted, folder).items():
        assert rows == pytest.approx(wanted[pool], rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", MAPS)
def test_pools_of_maps(name, folder):
    given, _ = expected(folder, name)
    wanted = given if given.ndim == 4 else given.reshape(4, *(2 * [round(given.shape[1] ** 0.5)]), -1)
    pools = {"avg": wanted.mean(axis=(1, 2)), "max": wanted.max(axis=(1, 2)), "grid": wanted}
    for pool, rows in features(name, pools, folder).items():
        assert rows == pytest.approx(pools[pool], rel=1e-3, abs=1e-4)


def cosine(one, other):
    return (one * other).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


@pytest.mark.parametrize("name", MADE)
def test_openvino_gives_what_keras_gives(name, folder, tmp_path):
    feature_set = recipe(name)
    photos = photos_for(name)
    extractor = forms.Forms(feature_set, weights.at_hand(feature_set, folder), tmp_path)
    given = {
        runtime: extractor.runner(runtimes.Choice(runtime, "float32"))(photos) for runtime in ("keras", "openvino")
    }
    assert np.ptp(given["keras"], axis=0).max() > 1e-3  # photos differ
    assert cosine(given["keras"], given["openvino"]).min() > 0.9999


def test_a_preset_is_told_apart_by_its_name_its_arrays_and_what_is_done_to_pixels(folder, tmp_path):
    feature_set = recipe("vit_base_patch16_224_imagenet")
    first = weights.at_hand(feature_set, folder)
    assert first.kind == "vit_base_patch16_224_imagenet"
    assert plan.asked_for(feature_set, first)["backbone"] == "hub:vit_base_patch16_224_imagenet"
    copied = shutil.copytree(first.path, tmp_path / "copy")
    assert weights.at_hand(feature_set, copied).digest == first.digest
    (copied / hub.CONVERTER).unlink()
    assert weights.at_hand(feature_set, copied).digest != first.digest
    own = FeatureSet("hub:mine", SIDE, pool="cls", weights=str(folder / "vit_base_patch16_224_imagenet"))
    assert weights.at_hand(own).digest == first.digest


def test_a_store_of_a_preset_is_made_once(drawn, folder, tmp_path, capsys):
    sets = {"dino": (recipe("dinov2_small"), tmp_path / "dino" / "data")}
    dataset = read_dataset(drawn)
    extract.extract(sets, dataset, given=folder)
    assert "through hub:dinov2_small on dinov2_small weights" in capsys.readouterr().err
    made = plan.plan(sets, dataset, folder)["dino"]
    assert (made.photos, made.fingerprint.size, made.fingerprint.pool) == (0, 56, "cls_mean")
    assert made.fingerprint.weights == weights.at_hand(recipe("dinov2_small"), folder).digest
    with pytest.raises(InputError, match="weights"):
        (folder / "dinov2_small" / hub.CONVERTER).rename(folder / "kept.json")
        plan.plan(sets, dataset, folder)
    (folder / "kept.json").rename(folder / "dinov2_small" / hub.CONVERTER)


def test_a_preset_is_found_without_tensorflow(folder):
    code = f"""
import sys
from mlob.features import weights
from mlob.recipes import FeatureSet
source = weights.at_hand(FeatureSet("hub:dinov2_small", 56, pool="cls"), {str(folder)!r})
assert not {{"tensorflow", "keras", "keras_hub"}} & set(sys.modules)
print(source.digest)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == weights.at_hand(recipe("dinov2_small"), folder).digest, done.stderr


def test_presets_in_kagglehubs_cache_are_found_when_they_are_whole(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    feature_set = recipe("dinov2_small")
    assert weights.at_hand(feature_set) is None
    variation = tmp_path / "models/keras/dinov2/keras/dinov2_small"
    shutil.copytree(folder / "dinov2_small", variation / "1")
    assert weights.at_hand(feature_set) is None  # kagglehub has not said that they are whole
    (variation / ".complete/1").mkdir(parents=True)
    for file in (hub.CONFIG, hub.CONVERTER, hub.WHOLE):
        (variation / f".complete/1/{file}.complete").touch()
    source = weights.at_hand(feature_set)
    assert (source.kind, source.path) == ("dinov2_small", variation / "1")
    assert source.digest == weights.at_hand(feature_set, folder).digest


@pytest.mark.parametrize("error, reason", [
    (ConnectionError("HTTPSConnectionPool(host='…'): Max retries exceeded\nwith url"), "no connection to Kaggle"),
    (ValueError("Permission denied.\nMore"), "Permission denied"),
])  # fmt: skip
def test_a_failing_download_is_told_in_one_sentence_with_the_ways_out(error, reason, tmp_path, monkeypatch):
    import kagglehub

    def fail(handle, path=None):
        raise error

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr(kagglehub, "model_download", fail)
    with pytest.raises(weights.Unreachable) as refused:
        weights.downloaded(recipe("dinov2_small"), random_fallback=True)
    told = str(refused.value)
    assert f"dinov2_small cannot be downloaded ({reason})" in told and "\n" not in told
    assert all(
        way in told for way in ("WEIGHTS=", "KAGGLEHUB_CACHE=", "KAGGLE_API_TOKEN", "kaggle.com/models/keras/dinov2")
    )


def test_a_download_lands_in_kagglehubs_cache_file_by_file(folder, tmp_path, monkeypatch):
    import kagglehub

    variation, asked = tmp_path / "models/keras/dinov2/keras/dinov2_small", []

    def give(handle, path=None):
        asked.append(path)
        (variation / "1").mkdir(parents=True, exist_ok=True)
        (variation / ".complete/1").mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "dinov2_small" / path, variation / "1" / path)
        (variation / f".complete/1/{path}.complete").touch()
        return str(variation / "1" / path)

    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path))
    monkeypatch.setattr(kagglehub, "model_download", give)
    source = weights.downloaded(recipe("dinov2_small"), random_fallback=False)
    assert source == weights.at_hand(recipe("dinov2_small")) and source.path == variation / "1"
    assert set(asked) == {hub.CONFIG, hub.CONVERTER, hub.WHOLE}


REFUSED = [
    (FeatureSet("hub:dinov2_smal"), r"no preset 'dinov2_smal'. Did you mean dinov2_small"),
    (FeatureSet("hub:bert_base_en"), "no network from photos alone to their features: "),
    (FeatureSet("hub:dinov2_small"), "pool is 'avg', but hub:dinov2_small gives tokens.*expected 'cls' or 'mean'"),
    (FeatureSet("hub:resnet_18_imagenet", pool="cls"), "gives a map; expected 'avg' or 'max' or 'grid'"),
    (FeatureSet("hub:dinov2_small", 225, pool="cls"), "patches of 14: expected 224 or 238"),
    (FeatureSet("hub:dinov3_vit_small_lvd1689m", 300, pool="cls"), "patches of 16: expected 288 or 304"),
    (FeatureSet("hub:dinov2_small", layer="stage1", pool="cls"), "features.layer is 'stage1'"),
    (FeatureSet("hub:dinov2_small", crop=Crop("head.keras"), pool="cls"), "features.crop is Crop"),
    (FeatureSet("hub:dinov2_small", weights="random", pool="cls"), "has no random weights"),
    (FeatureSet("mobilenet", pool="cls"), "pool is 'cls', which is of presets of KerasHub"),
]


@pytest.mark.parametrize("feature_set, told", REFUSED)
def test_a_recipe_that_asks_for_what_is_not_there_is_refused(feature_set, told):
    with pytest.raises(InputError, match=told):
        backbones.check(feature_set)


VIT = "vit_base_patch16_224_imagenet"


@pytest.mark.parametrize("feature_set, told", [
    (FeatureSet(f"hub:{VIT}", 64, pool="cls"), "positions in .* are those of 32: expected features.size=32"),
    (FeatureSet("hub:dinov2_base", 33, pool="cls", weights="dinov2_small"), "cuts photos into patches of 14"),
    (FeatureSet("hub:mine", 33, pool="cls", weights="dinov2_small"), "into patches of 14: expected 28 or 42"),
    (FeatureSet("hub:mine", SIDE, weights="dinov2_small"), "gives tokens"),
    (FeatureSet("hub:dinov2_base", 224, pool="cls", weights=VIT), "is a preset of ViTBackbone, and"),
    (FeatureSet("hub:mine", SIDE, weights="nowhere"), "is no folder of a preset"),
])  # fmt: skip
def test_a_folder_of_another_network_or_another_size_is_refused(feature_set, told, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match=told):
        weights.at_hand(feature_set, "." if feature_set.weights == "imagenet" else None)


def no_json(path):
    (path / hub.CONFIG).write_text("{")


def no_config(path):
    (path / hub.CONFIG).write_text("[]")


def other_class(path):
    (path / hub.CONFIG).write_text(json.dumps({"class_name": "BertBackbone", "config": {}}))


def strange_class(path):
    content = json.loads((path / hub.CONFIG).read_text())
    (path / hub.CONFIG).write_text(json.dumps({**content, "registered_name": "os>system"}))


def no_weights(path):
    (path / hub.WHOLE).unlink()


def half_weights(path):
    whole = (path / hub.WHOLE).read_bytes()
    (path / hub.WHOLE).write_bytes(whole[: len(whole) // 2])


def other_weights(path):
    content = json.loads((path / hub.CONFIG).read_text())
    content["config"]["hidden_dim"] = 24
    (path / hub.CONFIG).write_text(json.dumps(content))


DAMAGES = {
    no_json: "not whole JSON", no_config: "no configuration", other_class: "preset of BertBackbone",
    strange_class: "no configuration", no_weights: "lacks its weights, model.weights.h5", half_weights: "is damaged",
    other_weights: "is no whole preset",
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_sentence(damage, folder, tmp_path):
    path = shutil.copytree(folder / "vit_base_patch16_224_imagenet", tmp_path / "copy")
    damage(path)
    feature_set = recipe("vit_base_patch16_224_imagenet")
    with pytest.raises(InputError, match=DAMAGES[damage]) as error:
        weights.network(feature_set, weights.at_hand(feature_set, path))
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_every_family_is_one_of_keras_hub_and_has_presets():
    import keras_hub

    families = {preset.family for preset in presets.known().values()}
    assert set(presets.FAMILIES) <= families
    assert all(hasattr(keras_hub.models, name) for family in presets.FAMILIES.values() for name in family.classes)
    theirs = {name: facts["kaggle_handle"] for name, facts in keras_hub.models.Backbone.presets.items()}
    assert {name: f"kaggle://{preset.handle}" for name, preset in presets.known().items() if name in theirs} == theirs


def test_without_keras_hub_the_extra_is_named(monkeypatch):
    presets.known.cache_clear()
    monkeypatch.setattr(presets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mlob\[hub\]'"):
        backbones.check(FeatureSet("hub:dinov2_small", pool="cls"))
    presets.known.cache_clear()
