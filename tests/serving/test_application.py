"""The endpoint says of each file what is on it, or why it cannot tell, and lives on whatever is sent."""

import asyncio
import concurrent.futures
import io
import re
import struct
import threading
import zipfile
import zlib

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from mlob.serving import application
from mlob.serving.answers import Photos
from mlob.serving.application import Limits

LIMITS = Limits(bytes=4_000_000, photos=5, waiting=8)


@pytest.fixture(scope="module")
def client(labeller):
    with TestClient(application.create(labeller, "colours", LIMITS), raise_server_exceptions=False) as client:
        yield client


def post(client, *photos, names=None):
    names = names or [f"{number}.png" for number in range(len(photos))]
    return client.post("/label", files=[("files", pair) for pair in zip(names, photos, strict=True)])


def reds(response):
    """Give how red each photo is, as it was answered."""
    return [
        next(label["probability"] for label in [*photo["labels"], *photo["others"]] if label["name"] == "red")
        for photo in response.json()["photos"]
    ]


def test_each_file_has_its_answer_in_the_order_in_which_they_were_sent(client, painted):
    response = post(client, painted(250), painted(20, 240), painted(130), names=["a.png", "b.png", "a.png"])
    assert response.status_code == 200
    assert reds(response) == pytest.approx([250 / 255, 20 / 255, 130 / 255], abs=2e-3)
    Photos.model_validate(response.json())
    photos = response.json()["photos"]
    assert [photo["photo"] for photo in photos] == ["a.png", "b.png", "a.png"]
    given = [[label["name"] for label in photo["labels"]] for photo in photos]
    assert given == [["red", "short"], ["blue", "short"], ["short", "red"]]
    for photo in photos:
        assert photo["failure"] is None and len(photo["labels"] + photo["others"]) == 4
        assert all(label["probability"] >= label["threshold"] for label in photo["labels"])
        assert all(label["probability"] < label["threshold"] for label in photo["others"])
        for rows in (photo["labels"], photo["others"]):
            found = [label["probability"] for label in rows]
            assert found == sorted(found, reverse=True)


def zipped():
    """A zip of 50 MB of zeros in 50 KB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("photo.jpg", bytes(50_000_000))
    return buffer.getvalue()


def png(width, height, rows, *chunks):
    """A PNG of grey bits, whose header says what it likes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + b"".join(chunk(*each) for each in chunks)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def large(kind, **options):
    """A photo of 100 megapixels."""
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((10_000, 10_000), Image.Resampling.NEAREST).save(buffer, kind, **options)
    return buffer.getvalue()


BAD = {
    "0 bytes": (lambda: b"", "empty file"),
    "no image": (lambda: b"#!/bin/sh\necho no photo\n", "not an image"),
    "a zip bomb": (zipped, "not an image"),
    "a header of 4 gigapixels": (lambda: png(65_000, 65_000, zlib.compress(bytes(1000))), "too many pixels"),
    "100 megapixels of a bomb": (lambda: png(10_000, 10_000, zlib.compress(bytes(12_510_000))), "too many pixels"),
    "a bomb in a text": (
        lambda: png(8, 8, zlib.compress(bytes(16)), (b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))),
        "not decoded|not an image",
    ),
    "a progressive JPEG of 100 megapixels": (lambda: large("JPEG", quality=5, progressive=True), "too many pixels"),
    "one colour": (lambda: png(8, 8, zlib.compress(bytes(16))), "blank"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_photo_is_answered_with_the_reason_and_those_beside_it_with_their_labels(case, client, painted):
    make, reason = BAD[case]
    response = post(client, painted(90), make(), painted(210))
    assert response.status_code == 200
    one, bad, other = response.json()["photos"]
    assert re.match(reason, bad["failure"]) and not bad["labels"] and not bad["others"]
    assert one["failure"] is None and other["failure"] is None
    assert reds(post(client, painted(90))) == pytest.approx([90 / 255], abs=2e-3)


def test_a_jpeg_of_100_megapixels_is_scaled_while_it_is_decoded_and_labelled(client):
    (photo,) = post(client, large("JPEG", quality=5)).json()["photos"]
    assert photo["failure"] is None and len(photo["labels"] + photo["others"]) == 4


def test_too_many_files_are_refused(client, painted):
    response = post(client, *[painted(90)] * (LIMITS.photos + 1))
    assert response.status_code == 400 and "Maximum number of files is 5" in response.json()["detail"]
    assert post(client, *[painted(90)] * LIMITS.photos).status_code == 200


HEAD = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=x"}


def test_too_large_a_body_is_refused_by_its_length(client, painted):
    response = client.post("/label", content=HEAD + bytes(LIMITS.bytes), headers=FORM)
    assert response.status_code == 413 and "Content Too Large" in response.text
    assert post(client, painted(90)).status_code == 200


def test_a_body_that_does_not_end_is_not_read_further_than_allowed(client):
    taken, sent = [], []

    async def receive():
        taken.append(HEAD if not taken else bytes(100_000))
        return {"type": "http.request", "body": taken[-1], "more_body": True}

    async def send(message):
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in FORM.items()]
    scope = {"type": "http", "method": "POST", "path": "/label", "query_string": b"", "headers": headers}
    asyncio.run(client.app(scope, receive, send))
    assert sent[0]["status"] == 413 and sum(map(len, taken)) < LIMITS.bytes + 200_000


ODD = {
    "nothing": {},
    "another name": {"files": [("photo", ("a.png", b"x"))]},
    "a text": {"data": {"files": "a.png"}},
    "JSON": {"json": {"files": []}},
}


@pytest.mark.parametrize("case", ODD)
def test_a_request_without_files_is_refused_with_what_is_missing(case, client):
    response = client.post("/label", **ODD[case])
    assert response.status_code == 422 and "files" in response.text


def test_a_form_that_is_damaged_is_refused(client):
    response = client.post(
        "/label", content=b"--x\r\nno form", headers={"Content-Type": "multipart/form-data; boundary=y"}
    )
    assert response.status_code in (400, 422)


def test_of_ten_clients_at_once_each_gets_the_answer_on_his_own_photo(client, painted):
    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        found = list(clients.map(lambda red: (red, post_patiently(client, painted(red))), list(range(0, 250, 5))))
    assert all(reds(response) == pytest.approx([red / 255], abs=2e-3) for red, response in found)


def post_patiently(client, photo):
    while (response := post(client, photo)).status_code == 503:
        assert int(response.headers["Retry-After"]) >= 1
    return response


class Stuck:
    """A labeller that waits until it is let go, and fails on b"fail"."""

    def __init__(self, labeller):
        self.labels = labeller.labels
        self.began, self.go = threading.Semaphore(0), threading.Event()

    def ask(self, photos, tell):
        self.began.release()
        assert self.go.wait(30)
        if b"fail" in photos:
            raise MemoryError("no room")
        return [(None, None, "stub")] * len(photos)


@pytest.fixture
def stuck(labeller):
    made = Stuck(labeller)
    with TestClient(application.create(made, "stuck", LIMITS), raise_server_exceptions=False) as made.client:
        yield made
        made.go.set()


def test_who_comes_when_the_line_is_full_is_told_when_to_come_again(stuck):
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        waiting = [clients.submit(post, stuck.client, b"a")]
        assert stuck.began.acquire(timeout=30)
        waiting += [clients.submit(post, stuck.client, *[b"b"] * 4) for _ in range(2)]
        while stuck.client.get("/health").json()["waiting"] < 8:
            pass
        response = post(stuck.client, b"c")
        assert response.status_code == 503 and int(response.headers["Retry-After"]) >= 1
        assert "Too many photos wait" in response.json()["detail"]
        stuck.go.set()
        assert [future.result(30).status_code for future in waiting] == [200] * 3
    assert post(stuck.client, b"c").status_code == 200


def test_a_photo_on_which_the_labeller_fails_spoils_no_other(stuck):
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        first = clients.submit(post, stuck.client, b"a")
        assert stuck.began.acquire(timeout=30)
        others = [clients.submit(post, stuck.client, photo) for photo in (b"b", b"fail", b"c")]
        while stuck.client.get("/health").json()["waiting"] < 3:
            pass
        stuck.go.set()
        assert [each.result(30).status_code for each in (first, *others)] == [200, 200, 500, 200]
        assert others[1].result().json()["detail"].startswith("The photos could not be labelled (MemoryError)")
    assert post(stuck.client, b"d").status_code == 200


def test_health_tells_what_is_served(client):
    assert client.get("/health").json() == {"status": "ok", "suite": "colours", "labels": 4, "waiting": 0}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_load_nothing_and_may_not(path, client):
    response = client.get(path)
    assert response.status_code == 200 and "colours" in response.text
    assert not re.search(r"(src|href)=\"?(https?:)?//|@import|url\(", response.text)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_the_docs_list_every_endpoint_field_and_limit(client):
    api, page = client.get("/openapi.json").json(), client.get("/docs").text
    assert api["info"]["title"] == "mlob" and {*api["paths"]} == {"/label", "/health"}
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            assert f"<h2>{method.upper()} {path}</h2>" in page and operation["description"].split(".")[
                0
            ] in page.replace("&#34;", '"')
    for field in ("photo", "failure", "labels", "others", "probability", "threshold"):
        assert f'<th scope="row">{field}</th>' in page
    assert "curl -F files=@a.jpg -F files=@b.jpg http://testserver/label" in page and "5 photos and 4 MB" in page


def test_there_is_nothing_else(client):
    assert client.get("/redoc").status_code == client.get("/../pyproject.toml").status_code == 404
