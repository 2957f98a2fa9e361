"""Detectors: what one finds in photos is known here, whatever its file takes and gives; other files are refused."""

import base64
import dataclasses
import importlib.util
import zlib

import detectors
import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import backbones, detector, forms, weights
from mlob.models import beginning
from mlob.recipes import Detector, FeatureSet

SIDE = 64


# Files of other programs, written once: scores are how dark each channel's darkest pixel is, boxes always the same.
# ONNX's has open sides, boxes in pixels and class numbers of int64. TensorFlow's converter made TFLite's.
ONNX = (
    "c-"
    "mD^Jx{|h5Vhl^IZh3PV<1qvWMJ^b3JWDnL}G!BrOJmzB0^G;RFsWB!QP*W^F@Ru``z8Ud)7OEn;(JKXl=5psmLl+R5$*?lS;RVddy4dpc(B{y)"
    "sr}&uw{x@TSxz&EIQ}?YV(xD5_FnKS;AWsXkQgi|1{O=V&MExYE;Pb>PE8s>&vBzVHGeSr<{PikfCUPAu_Pc?=x5%Y#-"
    "uG#UH8mG`<Nz|_T2H@srg33O91rCr?C?)uBRT*_9&wS&L!LvNhm0~!OqT#jp5;sQ9GqOFZYO_HGj0tNA`eLmv__Wp>_)qQhK^RC4JGxl)sM~65"
    "En_y()B@XMN6V!Ie`KKS4$Xw?agy~L0"
)
TFLITE = (
    "c-n1NO=ufe5FSakY)fm|NfjrwK8RvU0*PX&IhYb+8z-g#J29y-1Olp}-"
    "8LKKmC>$34yA}vN+>z@5c(4+<WNcvq2!Q*38j?cLvSxS_E1VGIrLzPDgCju{pP*d&1$8E&w4v=zWICe#yd?!>&q*z=cz!`bd2&eNd{!2G=w!lM"
    ")a896GXoxiS~f^#)wjoK?E(Lmk)g35Zx_c0&uP7E!%mwVp{K1TXj$Ap9KoSX@irIb(-~Sji%)i-4k0Z9|3Chs_SCoA>@-"
    "H9|o>BZnJtA!>=9R5B9chG`t3W5h|UO{XOtsk~RM>UB0w&;mTVVFJG#xURYl|zqr0gdDu7{(b=?}O0(s7_NG<2Wi?&9;i#HCgVU$LL*Op31zZE"
    "B6FQ*htOGm+egL+CN5D701K@Mu6TlN+_q#gww*k(PRQ+@63`RvZqoipiOAC)5BRsPqb#7n$wDH-OH``k&$v>!XxmYe0XNfYt_Qf_!#gdW*&+)%"
    "~|0FOAoB`&5v%msy9#|G`;Cn;fN97#Y-%XJjq1E<0{w#bT@`yWr=4C&s%d&GCq~4$O_-)Vc_W97y?-6+-"
    "f_UA6{h)^n|M>n4z<s;Aa`8%Gso~(fJ<BYr{k*b~3oFgGaw6xR--FVD6oBn-"
    "R&9r*E?+@z0tMg?>4!QnC$ap9v)A@1J1I6fu1AO`A?K8oJH@^I*9-"
    "k4fj;m5Ci)Zdo)iDCp(fK>zfh1q8diHo*k2=pgzz}7afu`7BXmxfdq!#)+{c9ICzY0dzwZyu>+ZigPDAvw(x1Ej;Jmg)KO3<>8at0{<UIID0zU"
    "H&grAArhcV&jRSqxsa`#>da+~{4bH~CO=sKlj--zVP&mr~;2is6Eff-"
    ";Q#K%Azm`iFyJUi|HYk&dlK>Q)FBJnL_R<YSh@pDM#<__ZF^;)&**&e2mWiD0g^*3fCy_^yoAIEG2Fd%20%~rjK!@o~roC)dg1<1KRuGh3p%dE"
    "I{yJnTCkKc{)bHZ;A;+OjQ=Q_Roamo9;gTZ;1<Xi$9@5lH?&=Zgk>zpfb&bKj6R(zi64E9-"
    "$@&AnRGxF<obe&f*3ZnY2c6;^5q(%=qdj3?Kws)ggYdEe~b-c3btFMKVmwa^pQ<CrU&)^-=eoi+nvsL3*E4E{z#BO9Re;V^U63j2idA-CQQJrY"
    "4yD?5$IBQ*9PsJI~duhLyH!Qq6!gE{KPv4e1^O4`1oBVG{s_%~Opqi9IU*E^LsR(x;-"
    "0^tNMdBoyQr|mAWvT_YdrB`to5_gHH+|j5z47$gJQhxsew#r(5;BMH!QRpSZ>5U*e!;B{X6u3=C1-F=-"
    "ud1ikJN1k_D*SEr=DRgey4_LNbNuO_4f^)!~0mD(CZV1nt`OO@SVA;<yZd)v0$@6"
)


def recipe(path, **changes):
    return Detector(**{"file": str(path), "size": SIDE, "classes": 3, "units": "pixels", "scale": (255.0,)} | changes)


def found(given, *photos):
    """Give the boxes that a recipe's detector finds in uint8 photos, those that are there: lists of rows."""
    rows = detector.Finder(FeatureSet("detector", detector=given)).settle(detector.Finder.choice)(list(photos))
    return [photo[photo[:, 1] > 0].tolist() for photo in rows]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return detectors.write(tmp_path_factory.mktemp("detector") / "tiny.xml")


@pytest.fixture
def photo():
    """A white photo in which red is missing in one rectangle, and blue in another."""
    made = np.full((SIDE, SIDE, 3), 255, np.uint8)
    made[16:32, 8:24, 0], made[40:48, 32:64, 2] = 0, 51
    return made


RED, BLUE = [0, 1, 8 / SIDE, 16 / SIDE, 24 / SIDE, 32 / SIDE], [2, 0.8, 32 / SIDE, 40 / SIDE, 1, 48 / SIDE]


def test_boxes_are_shares_of_the_square_the_best_first(path, photo):
    (rows,) = found(recipe(path), photo)
    np.testing.assert_allclose(rows, [RED, BLUE], atol=1e-6)


def test_photos_keep_their_order(path, photo):
    empty = np.full_like(photo, 255)
    rows = found(recipe(path), empty, photo, empty, photo[:, ::-1], photo)
    assert [len(each) for each in rows] == [0, 2, 0, 2, 2] and rows[1] == rows[4]
    np.testing.assert_allclose(rows[3][0][2:], [1 - 24 / SIDE, 16 / SIDE, 1 - 8 / SIDE, 32 / SIDE], atol=1e-6)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ({"layout": "NHWC"}, {}),
        ({"open_sides": True}, {}),
        ({"layout": "NHWC", "open_sides": True}, {}),
        ({"kind": np.uint8}, {"scale": (1.0,)}),
        ({"in_one": True}, {"outputs": ("boxes",)}),
        ({"names": ("a/b", "c:0", "d.1")}, {"outputs": ("a/b", "c:0", "d.1")}),
    ],
    ids=str,
)
def test_whatever_its_file_takes_and_gives_the_boxes_are_the_same(path, photo, tmp_path, file, changes):
    other = detectors.write(tmp_path / "other.xml", **file)
    assert found(recipe(other, **changes), photo) == found(recipe(path), photo)


FIRST, THIRD = [0, 0, 0.5, 1], [0.25, 0.25, 0.5, 0.5]


@pytest.mark.parametrize(
    ("name", "content", "changes"),
    [
        ("tiny.onnx", ONNX, {"outputs": ("boxes", "scores", "labels")}),
        (
            "tiny.tflite",
            TFLITE,
            {"outputs": tuple(f"PartitionedCall:{each}" for each in (0, 2, 1)), "units": "shares"},
        ),
    ],
)
def test_files_of_other_programs_are_read(photo, tmp_path, name, content, changes):
    (tmp_path / name).write_bytes(zlib.decompress(base64.b85decode(content)))
    (rows,) = found(recipe(tmp_path / name, **changes), photo)
    np.testing.assert_allclose(rows, [[0, 1, *FIRST], [2, 0.8, *THIRD]], atol=1e-6)


def test_another_order_of_channels_numbers_or_units_is_another_reading(path, photo):
    (rows,) = found(recipe(path, channels="bgr"), photo)
    np.testing.assert_allclose(rows, [[2, *RED[1:]], [0, *BLUE[1:]]], atol=1e-6)
    (rows,) = found(recipe(path, corners="yxyx"), photo)
    np.testing.assert_allclose(rows[0], [*RED[:2], RED[3], RED[2], RED[5], RED[4]], atol=1e-6)
    (rows,) = found(recipe(path, units="shares"), photo)
    np.testing.assert_allclose(rows[0], [*RED[:2], *np.multiply(SIDE, RED[2:])], atol=1e-4)


def test_pixels_are_brought_to_what_the_file_takes(path, photo):
    """Of (pixel - mean) / scale, a mean of 51 in blue alone makes its darkest pixel 0."""
    (rows,) = found(recipe(path, mean=(0.0, 0.0, 51.0), scale=(255.0, 255.0, 204.0)), photo)
    np.testing.assert_allclose([row[1] for row in rows], [1, 1], atol=1e-6)


def test_no_more_boxes_than_the_recipe_keeps(path, photo):
    (rows,) = found(recipe(path, most=1), photo)
    np.testing.assert_allclose(rows, [RED], atol=1e-6)


# What is refused


def refuses(given, match):
    with pytest.raises(InputError, match=match):
        detector.Finder(FeatureSet("detector", detector=given))


def test_a_file_that_is_missing_is_named(tmp_path, path):
    refuses(recipe(tmp_path / "none.onnx"), r"there is no file .*none\.onnx")
    (tmp_path / "half.xml").write_bytes(path.read_bytes())
    refuses(recipe(tmp_path / "half.xml"), r"there is no file .*half\.bin")
    refuses(recipe(tmp_path / "net.pt"), r"expected a file that ends in \.onnx, \.tflite, \.xml")


@pytest.mark.parametrize("name", ["broken.onnx", "broken.tflite", "broken.xml"])
@pytest.mark.parametrize("content", [b"", b"\x08\x07no network", b"<net"])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    (tmp_path / "broken.bin").write_bytes(b"")
    (tmp_path / name).write_bytes(content)
    refuses(recipe(tmp_path / name), "is no network that OpenVINO can read: copy or export it again")


def test_weights_that_are_cut_short_are_refused(tmp_path, path):
    (tmp_path / "cut.xml").write_bytes(path.read_bytes())
    (tmp_path / "cut.bin").write_bytes(path.with_suffix(".bin").read_bytes()[:-8])
    refuses(recipe(tmp_path / "cut.xml"), "is no network that OpenVINO can read")


def test_an_output_of_another_name_is_told_with_those_there_are(path):
    there = r"does not give; it gives boxes \[1,3,4\], scores \[1,3\], classes \[1,3\]"
    refuses(recipe(path, outputs=("boxes", "scores", "labels")), rf"names 'labels', which .*tiny\.xml {there}")


@pytest.mark.parametrize("outputs", [("scores", "boxes", "classes"), ("boxes",), ("boxes", "boxes", "boxes")], ids=str)
def test_outputs_of_other_shapes_are_told(path, outputs):
    refuses(recipe(path, outputs=outputs), r"tiny\.xml gives .*\[1, 3, 4\].*; expected, in detector.outputs, n boxes")


def test_a_size_that_the_file_does_not_take_is_told(path):
    refuses(recipe(path, size=96), "takes photos of 64 x 64 pixels, but detector.size is 96")


def test_whole_numbers_are_not_scaled(tmp_path):
    whole = detectors.write(tmp_path / "whole.xml", kind=np.uint8)
    refuses(recipe(whole), r"takes whole numbers \(u8\): leave out detector.scale")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"classes": 2}, "gives the class number 2, but detector.classes is 2"),
        ({"mean": (255.0,), "scale": (0.01,)}, "gives scores from .* to 2.*; expected 0 to 1"),
    ],
)
def test_values_that_cannot_be_are_told(path, photo, changes, told):
    with pytest.raises(InputError, match=told):
        found(recipe(path, **changes), photo)


def test_without_openvino_it_says_what_to_install(path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else find(name))
    refuses(recipe(path), "OpenVINO, which is not installed: `pip install openvino`")


# The recipe


@pytest.mark.parametrize("outputs", [(), ("boxes", "scores")])
def test_a_detector_has_one_output_or_three(path, outputs):
    with pytest.raises(InputError, match=r"detector.outputs is .*; expected the names of three outputs"):
        recipe(path, outputs=outputs)


@pytest.mark.parametrize("scale", [(0.0,), (1.0, 2.0), (1.0, 0.0, 1.0)])
def test_a_scale_is_one_number_above_zero_or_three(path, scale):
    with pytest.raises(InputError, match=r"detector.scale is .*; expected one number above 0, or three"):
        recipe(path, scale=scale)


def test_a_feature_set_has_a_detector_or_another_backbone(path):
    backbones.check(FeatureSet("detector", detector=recipe(path)))
    with pytest.raises(InputError, match="needs detector=Detector"):
        backbones.check(FeatureSet("detector"))
    for odd in (FeatureSet("xception", detector=recipe(path)), FeatureSet("detector", "large", detector=recipe(path))):
        with pytest.raises(InputError, match='has the backbone "detector", and no other field'):
            backbones.check(odd)


def test_no_network_begins_with_a_detector_or_reads_its_store(path):
    found, pixels = FeatureSet("detector", detector=recipe(path)), FeatureSet("pixels", pool="grid")
    with pytest.raises(InputError, match="A network begins with a backbone"):
        beginning.check(pixels, found)
    with pytest.raises(InputError, match="The network reads pixels, or maps"):
        beginning.check(found, FeatureSet("mobilenet"))


def test_its_weights_go_by_their_bytes_and_not_by_their_place(path, tmp_path):
    feature_set = FeatureSet("detector", detector=recipe(path))
    source = weights.at_hand(feature_set)
    moved = [(tmp_path / each.name) for each in (path, path.with_suffix(".bin"))]
    for each in moved:
        each.write_bytes((path.parent / each.name).read_bytes())
    elsewhere = dataclasses.replace(feature_set, detector=recipe(moved[0]))
    assert weights.at_hand(elsewhere).digest == source.digest and source.kind == "tiny.xml"
    moved[1].write_bytes(moved[1].read_bytes()[::-1])
    assert weights.at_hand(elsewhere).digest != source.digest
    assert isinstance(forms.of(feature_set, source, tmp_path), detector.Finder)
    forms.of.cache_clear()
