"""A data set is the same wherever its photos are: on a disk, in archives, in a bucket."""

import concurrent.futures
import dataclasses
import http.server
import json
import pickle
import shutil
import sys
import threading

import pyarrow.parquet
import pytest
from layouts import on_disk

from mlob.data import duplicates, images, parquet, places
from mlob.data.dataset import read_dataset
from mlob.errors import InputError, Unreadable

PHOTOS = {f"images/{split}/{number}.jpg": f"{split} {number}".encode() * 50 for split in ("train", "test") for number in
          (1, 2, 3)}  # fmt: skip


@pytest.fixture(scope="module")
def bucket():
    """The address of a bucket at a local S3 server, and the file system that it is written through."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "made-up")
        patched.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patched.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*running.get_host_and_port()))
        store = s3fs.S3FileSystem(use_listings_cache=False)
        store.mkdir("photos")
        yield "s3://photos", store
        store.clear_instance_cache()
    running.stop()


def annotated(contents):
    """The files of a data set in the layout of iMaterialist, with these photos."""
    files = dict(contents)
    for split in ("train", "test"):
        ids = [name.split("/")[-1][:-4] for name in contents if f"/{split}/" in name]
        split_of = {"images": [{"imageId": name} for name in ids]}
        if split == "train":
            split_of["annotations"] = [{"imageId": name, "labelId": [int(name)]} for name in ids]
        files[f"{split}.json"] = json.dumps(split_of).encode()
    return files | {"label_map.csv": "labelId,labelName\n1,Å\n2,b\n3,c\n".encode()}


def in_bucket(bucket, prefix, files):
    address, store = bucket
    store.pipe({f"{address}/{prefix}/{name}": content for name, content in files.items()})
    return f"{address}/{prefix}"


def all_of(dataset):
    """Labels, ids, targets and photos of a data set."""
    return dataset.labels, [
        (split.name, split.ids, split.targets if split.targets is None else split.targets.tolist(),
         [images.content(place) for place in dataset.photos(split.name)])
        for split in dataset.splits.values()
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_data_set_is_the_same_with_its_photos_in_an_archive(tmp_path, kind):
    whole = read_dataset(on_disk(tmp_path / "whole", annotated(PHOTOS)))
    packed = on_disk(tmp_path / "packed", {name: data for name, data in annotated(PHOTOS).items() if "/" not in name})
    shutil.make_archive(packed / "images", kind, tmp_path / "whole", "images")
    assert all_of(read_dataset(packed)) == all_of(whole)
    assert not read_dataset(packed).is_remote


def test_photos_in_parquet_are_the_same_in_a_bucket(tmp_path, bucket):
    photos = [{"bytes": data, "path": name} for name, data in PHOTOS.items()]
    for split in ("train", "test"):
        table = pyarrow.table({"image": photos, "label": ["a", "b"] * 3 if split == "train" else [""] * 6})
        (tmp_path / "data").mkdir(exist_ok=True)
        pyarrow.parquet.write_table(table, tmp_path / f"data/{split}.parquet", row_group_size=2)
    files = {f"data/{file.name}": file.read_bytes() for file in (tmp_path / "data").iterdir()}
    remote = read_dataset(in_bucket(bucket, "parquet", files))
    assert remote.is_remote and all_of(remote) == all_of(read_dataset(tmp_path))
    assert not any(seen.ids for seen in duplicates.look(remote).values())  # nothing is read from a bucket for that
    copy = pickle.loads(pickle.dumps(remote.photos("test")[1]))
    assert copy.read_bytes() == remote.photos("test")[1].read_bytes() == [*PHOTOS.values()][1]
    store = bucket[1]
    store.rm(f"{bucket[0]}/parquet/data/test.parquet")
    parquet._groups.clear()  # as in another process
    with pytest.raises(Unreadable, match="no file"):
        images.content(copy)


def test_a_data_set_is_the_same_in_a_bucket(tmp_path, bucket):
    whole = read_dataset(on_disk(tmp_path, annotated(PHOTOS)))
    for marker in ("some/mine/", "some/mine/images/"):  # as some tools leave for a folder
        bucket[1].call_s3("put_object", Bucket="photos", Key=marker, Body=b"")
    dataset = read_dataset(in_bucket(bucket, "some/mine", annotated(PHOTOS)) + "/")
    assert all_of(dataset) == all_of(whole)
    assert (dataset.name, dataset.is_remote, str(dataset.folder)) == ("mine", True, "s3://photos/some/mine")
    place = dataset.photos("train")[0]
    assert (place.name, place.stem, place.suffix) == ("1.jpg", "1", ".jpg")
    assert str(place) == "s3://photos/some/mine/images/train/1.jpg"
    assert pickle.loads(pickle.dumps(place)).read_bytes() == place.read_bytes()


def test_a_whole_bucket_can_be_a_data_set(bucket):
    _, store = bucket
    store.mkdir("whole")
    store.pipe({f"s3://whole/{name}": content for name, content in annotated(PHOTOS).items()})
    dataset = read_dataset("s3://whole")
    assert dataset.name == "whole"
    assert [images.content(place) for place in dataset.photos("test")] == list(PHOTOS.values())[3:]


def test_a_bucket_is_listed_once(bucket, monkeypatch):
    dataset = read_dataset(in_bucket(bucket, "once", annotated(PHOTOS)))
    listed, find = [], dataset.folder.fs.find
    monkeypatch.setattr(dataset.folder.fs, "find", lambda *given, **more: listed.append(1) or find(*given, **more))
    for split in ("train", "test", "train"):
        assert all(dataset.photos(split))
    assert listed == [1]


def test_many_reads_are_under_way_at_once(bucket, monkeypatch):
    together = threading.Barrier(places.READS)

    class Store(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            together.wait(timeout=10)  # answers nobody before all have asked
            self.send_response(206)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"photo")

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = places.READS

    bucket[1].clear_instance_cache()
    with Server(("127.0.0.1", 0), Store) as server, concurrent.futures.ThreadPoolExecutor(places.READS) as pool:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        photo = places.InBucket(places.data_folder("s3://photos/many"), "1.jpg", 5, "")
        read = list(pool.map(images.content, [photo] * places.READS))
        server.shutdown()
    assert read == [b"photo"] * places.READS
    bucket[1].clear_instance_cache()


def test_splits_drawn_by_the_bytes_of_photos_in_a_bucket_are_those_on_disk(tmp_path, bucket, monkeypatch):
    table = "image,labels\n" + "".join(f"{name},x\n" for name in PHOTOS)
    files = PHOTOS | {"photos.csv": table.encode()}
    whole = read_dataset(on_disk(tmp_path / "whole", files))
    address, kept = in_bucket(bucket, "drawn", files), tmp_path / "digests.csv"
    dataset = read_dataset(address, digests=kept)
    assert {name: split.ids for name, split in dataset.splits.items()} == {
        name: split.ids for name, split in whole.splits.items()
    }
    monkeypatch.setattr(images, "content_digest", lambda data: pytest.fail("digested again"))
    read_dataset(address, digests=kept)


def reason(place):
    with pytest.raises(Unreadable) as caught:
        images.content(place)
    return str(caught.value)


def test_an_object_that_has_gone_or_is_empty_is_unreadable(bucket):
    dataset = read_dataset(in_bucket(bucket, "gone", annotated(PHOTOS | {"images/train/1.jpg": b""})))
    empty, gone, good = dataset.photos("train")
    bucket[1].rm("s3://photos/gone/images/train/2.jpg")
    assert (reason(empty), reason(gone)) == ("empty file", "no file")
    assert images.content(good) == PHOTOS["images/train/3.jpg"]


def test_a_denied_photo_is_unreadable_but_an_outage_stops_the_run(bucket, monkeypatch):
    dataset = read_dataset(in_bucket(bucket, "denied", annotated(PHOTOS)))
    place = dataset.photos("train")[0]

    def failing(error):
        def cat_file(*_, **__):
            raise error

        monkeypatch.setattr(dataset.folder.fs, "cat_file", cat_file)

    failing(PermissionError("Access Denied"))
    assert reason(place) == "access denied"
    for error in (PermissionError("The provided token has expired."), TimeoutError(), OSError(5, "Slow down")):
        failing(error)
        with pytest.raises(InputError, match=r"s3://photos/denied/images/train/1\.jpg cannot be read .* same command"):
            images.content(place)
    assert dataclasses.replace(place, size=0).read_bytes() == b""  # which no store was asked for


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("s3://photos/nowhere", "The data folder s3://photos/nowhere does not exist"),
        ("s3://no-such-bucket/mine", "The data folder s3://no-such-bucket/mine does not exist"),
        ("s3://photos/other", "s3://photos/other holds no annotations: expected one of photos.csv"),
        ("s3://photos/broken", "s3://photos/broken/train.json is not whole JSON"),
        ("s3://", "s3:// is not an address that photos can be read from"),
        ("s3:///mine", "s3:///mine is not an address that photos can be read from"),
        (
            "ftp://host/mine",
            "ftp://host/mine is not an address that photos can be read from: expected a folder, s3://… or gs",
        ),
    ],
)
def test_an_address_that_cannot_be_right_is_refused(bucket, address, message):
    in_bucket(bucket, "other", {"a.txt": b"a"})
    in_bucket(bucket, "broken", {"train.json": b"{"})
    with pytest.raises(InputError, match=message):
        read_dataset(address)


def test_archives_in_a_bucket_are_told_of(bucket, capsys):
    files = annotated(PHOTOS) | {"images.zip": b"zip"}
    del files["images/train/1.jpg"]
    dataset = read_dataset(in_bucket(bucket, "archives", files))
    assert dataset.photos("train")[0] is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("s3://photos/archives/images.zip is not read: archives are read from a disk only")


@pytest.mark.parametrize(("scheme", "package"), [("s3", "upath"), ("gs", "gcsfs")])
def test_an_extra_that_is_not_installed_is_named(monkeypatch, scheme, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf'{scheme}://photos/mine needs .* pip install "mlob\[{scheme}\]"\.$'):
        read_dataset(f"{scheme}://photos/mine")


COCO = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 4, "name": "x"}, {"id": 5, "name": "y"}]}
STYLES = """id,gender,masterCategory,subCategory,articleType,baseColour,season,usage,split,productDisplayName
1,Men,A,B,C,Red,Fall,NA,train,a, b
2,Men,A,B,D,Red,Fall,NA,test,c
"""
LAYOUTS = {
    "classes": {
        "train/a/1.jpg": b"one",
        "train/b/summer/2.jpg": b"two",
        "val/a/3.jpg": b"three",
        "test/4.jpg": b"four",
    },
    "coco": {
        "annotations/instances_train2017.json": json.dumps(
            COCO | {"annotations": [{"image_id": 1, "category_id": 4}]}
        ).encode(),
        "train2017/a.jpg": b"one",
    },
    "styles": {"styles.csv": STYLES.encode(), "images/1.jpg": b"one", "images/2.jpg": b"two"},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_formats_are_told_and_read_in_a_bucket_as_on_a_disk(bucket, tmp_path, name):
    stored = read_dataset(in_bucket(bucket, name, LAYOUTS[name]))
    on_a_disk = read_dataset(on_disk(tmp_path, LAYOUTS[name]))
    assert all_of(stored) == all_of(on_a_disk) and stored.told == on_a_disk.told
