import base64
import dataclasses
import zlib

import numpy as np
import pytest

from mlob.errors import InputError
from mlob.features import fingerprint, store
from mlob.features.fingerprint import Fingerprint
from mlob.files import digest

# A store as mlob 0.1.0 writes it: the file that declares it, a shard of two photos and of one that failed.
FINGERPRINT = Fingerprint(
    "mobilenet", 224, "last", "avg", "whole", 1, "pillow draft, srgb", "e2ab", "openvino", "bfloat16", None
)
DECLARED = """{
  "backbone": "mobilenet",
  "calibration": null,
  "decoder": "pillow draft, srgb",
  "layer": "last",
  "pool": "avg",
  "precision": "bfloat16",
  "preprocessing": 1,
  "runtime": "openvino",
  "size": 224,
  "view": "whole",
  "weights": "e2ab"
}
"""
SHARD = (
    "c-q}oPm9w)6rZI3VyNA2yL-@sTY?C}B2C(+b@8xhm4b%_KY%imOxj`7Ov$9JT14>XhY<Y&f*_(|#k08gJ$TfU7cY9&nPkH5*28)c"
    "?7l-L^Lu~t=9l+g^0?Q%aaupCXEY6@@=MAE3DqV3&3*NJr`Nrug1hB10N-;7JXexcR{_7vmjGWf#APp~TfQm~&BHJnhnRhk=J|?%"
    "3ohwn7O_vNMArqXdyx3py~CsIXJnYz;Kj_=;uI91C~F*46h%F3z$K#rrMfD@0FdK3Wps@{D$7$iY6s?EspZ|1M+aP-=jT!nxX3JW"
    "lCEn&S*@)|ybSal&{r0CQYBBt^g+-5e=c6X{Wv?eE{Z_mWh={I`^cF~^33Hl;G5;Gi_d#|`-@!2o&(A;J#tPvYPak?QvPxA{ois?"
    "Sm0tqa#1)TTx@Ope7bY3cT=q#9`dQ=&j?0Ja`1*2G8(Wi*~E3d0<wR)6mxvg^D&_brALB34o4vgB2eYjewCd!GZ1uk5e=}hRWpVZ"
    "@%RCbjLn+iK%bxxMuY}j7mR(MgD!Tci$h^NBEC<jH8+G_v{_?e9|<oX-b>UzWO0}grM}q1Nk86(*dZ*5X&}$1Ffwha7=_fqjPX>t"
    "(&Sh;4k9v)Q==msOh`b5DI@m<W?4<XnGie`2GarcvCvL2=?@|%Fl<3&JSg546ZTX>gfqa-E*lSH7Pch|b<?u2-88X_Vcl+7&33(w"
    "oQ7%FTdk()p$2TV%qB)on|~%@^D^pm+P3LJ*s#5J$2H3j=a>FTQ9#5mS9qRRK^I(4OFjJ;Z~|KM_zU|D{#nb7"
)


@pytest.fixture
def written(tmp_path):
    """The folder of that store."""
    (tmp_path / "train").mkdir()
    (tmp_path / "fingerprint.json").write_text(DECLARED)
    (tmp_path / "train" / "00000.h5").write_bytes(zlib.decompress(base64.b85decode("".join(SHARD))))
    return tmp_path


def test_a_store_that_was_written_before_is_read(written):
    assert store.fingerprint(written) == store.header(written / "train" / "00000.h5").fingerprint == FINGERPRINT
    shard = store.read(written / "train" / "00000.h5")
    assert shard.features.tolist() == [[0, 1, 2], [3, 4, 5]] and shard.features.dtype == np.float16
    assert (shard.ids, shard.digests.tolist(), shard.failures) == (("a", "b"), [7, 8], {"c": "no file"})


def test_what_is_written_now_has_the_same_bytes(written, tmp_path):
    shard = store.Shard(("a", "b"), np.float16([[0, 1, 2], [3, 4, 5]]), np.uint64([7, 8]), {"c": "no file"})
    store.write(tmp_path / "new" / "train" / "00000.h5", shard, FINGERPRINT)
    assert store.declare(tmp_path / "new", FINGERPRINT) == FINGERPRINT
    for name in ("fingerprint.json", "train/00000.h5"):
        assert (tmp_path / "new" / name).read_bytes() == (written / name).read_bytes()


def test_photos_to_predict_are_found_again_in_the_folder_that_they_were_put_in():
    assert digest(FINGERPRINT.to_json()).startswith("8ada0999d91ec3ab")


def test_the_first_fingerprint_that_is_declared_holds(written):
    other = dataclasses.replace(FINGERPRINT, precision="float32")
    assert store.declare(written, other) == FINGERPRINT
    assert (written / "fingerprint.json").read_text() == DECLARED


def test_of_a_detector_it_also_tells_how_the_file_is_read():
    other = dataclasses.replace(FINGERPRINT, backbone="detector", detector="threshold 0.5")
    assert fingerprint.from_json(other.to_json()) == other
    assert "detector" not in FINGERPRINT.fields()


@pytest.mark.parametrize(
    "text", ["5", "null", "[]", "{}", DECLARED.replace("view", "vista"), DECLARED[:-2] + ',"x":1}']
)
def test_json_with_other_fields_is_no_fingerprint(text):
    assert fingerprint.from_json(DECLARED) == FINGERPRINT
    with pytest.raises(ValueError, match="its fingerprint is"):
        fingerprint.from_json(text)


def test_a_file_that_lacks_a_field_is_named_with_the_mend(written):
    (written / "fingerprint.json").write_text(DECLARED.replace("view", "vista"))
    with pytest.raises(InputError, match=r"fingerprint.json lacks the key view: remove it"):
        store.fingerprint(written)
