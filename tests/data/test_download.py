"""Against a server that misbehaves on purpose: a good photo is there once, a bad one has its reason, none twice."""

import collections
import contextlib
import csv
import errno
import functools
import gzip
import http.server
import io
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mlob.data import download, downloaded, fetch, hosts, images
from mlob.data.dataset import DataSet, Split
from mlob.errors import InputError
from mlob.files import PART, part_path
from mlob.labels import Labels

SIZE = 32
LIMITS = fetch.Limits(
    connect_seconds=5, silent_seconds=1, total_seconds=20, attempts=2, backoff_seconds=0.01, failures=1000,
    bytes=1_000_000,
)  # fmt: skip


# The server


class Server(http.server.ThreadingHTTPServer):
    """Answers each path by a function of its own; counts what is asked for, and how much of it at once."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, host):
        super().__init__((host, 0), Handler)
        self.pages, self.asked, self.times = {}, collections.Counter(), collections.defaultdict(list)
        self.over, self.lock, self.now, self.most = threading.Event(), threading.Lock(), 0, 0

    def url(self, name, host=None):
        return f"http://{host or self.server_address[0]}:{self.server_port}/{name}"

    def handle_error(self, request, client_address):
        """Clients that hang up are no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        name, server = self.path[1:], self.server
        with server.lock:
            server.asked[name] += 1
            server.times[name].append(time.monotonic())
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            server.pages[name](self, server.asked[name])
        finally:
            with server.lock:
                server.now -= 1

    def log_message(self, *args):
        """The tests' output stays clean."""


@contextlib.contextmanager
def serving(host="127.0.0.1"):
    server = Server(host)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server():
    with serving() as running:
        yield running


def answer(body, status=200, announced=None, **headers):
    """A page: one whole answer, or one that announces another length than it has."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body) if announced is None else announced}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    def page(handler, _):
        handler.wfile.write("\r\n".join([*lines, "", ""]).encode() + body)
        handler.close_connection = announced is not None

    return page


def raw(data):
    """A page: these bytes, then the connection is closed."""

    def page(handler, _):
        handler.wfile.write(data)
        handler.close_connection = True

    return page


def first(*pages):
    """A page: each of these once, then the last one for ever."""
    return lambda handler, count: pages[min(count, len(pages)) - 1](handler, count)


def hang(handler, _):
    handler.server.over.wait(30)


def drip(handler, _, head=b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"):
    handler.wfile.write(head)
    while not handler.server.over.wait(0.1):
        handler.wfile.write(b"x")


# Photos


def encoded(image, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=60, height=80, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def png_of(width, height):
    """The start of a PNG that claims this size, and has no pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n\0\0\0\x0d" + header + struct.pack(">I", zlib.crc32(header)) + b"\0\0\0\x01IDAT"


def jpeg_of(width, height):
    """A JPEG whose header claims this size."""
    data = bytearray(JPEG)
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def animation():
    frames = [photo(seed=seed) for seed in (1, 2)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


JPEG = encoded(photo())
NOISE = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 900, 3), np.uint8)), quality=80)
GREYS = Image.fromarray(np.linspace(0, 65535, 80 * 60).reshape(80, 60).astype(np.uint16))
LARGE = bytes(LIMITS.bytes + 1)
STATUS = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

GOOD = {
    "plain": answer(JPEG, Content_Type="image/jpeg"),
    "wrong type": answer(JPEG, Content_Type="text/html"),
    "wrong extension": answer(encoded(photo(), "PNG")),
    "animation": answer(animation()),
    "cmyk": answer(encoded(photo().convert("CMYK"))),
    "16 bits": answer(encoded(GREYS, "PNG")),
    "compressed on the way": answer(gzip.compress(JPEG), Content_Encoding="gzip"),
    "length not announced": raw(STATUS + JPEG),
    "large, and more bytes": answer(NOISE + b"x" * 5000, announced=len(NOISE)),
    "429 then good": first(answer(b"", 429, Retry_After="0"), answer(JPEG)),
    "500 then good": first(answer(b"", 500), answer(JPEG)),
    "fewer bytes then good": first(answer(JPEG[:-200], announced=len(JPEG)), answer(JPEG)),
    "hung up then good": first(raw(b""), answer(JPEG)),
    "redirect to good": answer(b"", 302, Location="plain"),
    "others opted out": answer(JPEG, X_Robots_Tag="noindex, max-snippet: 10, otherbot: noai, nofollow, noimageai"),
    "mining not reserved": answer(JPEG, TDM_Reservation="0", X_Robots_Tag="unavailable_after: 25 Jun 2030, all"),
}
BAD = {
    "hang": (hang, fetch.TIMED_OUT),
    "a byte at a time": (drip, fetch.TOO_SLOW),
    "html": (answer(b"<html>Sorry</html>", Content_Type="image/jpeg"), "not an image"),
    "no bytes": (answer(b""), "empty file"),
    "fewer bytes": (answer(JPEG[:-200], announced=len(JPEG)), fetch.CUT_SHORT),
    "more bytes": (answer(JPEG + b"x" * 5000, announced=len(JPEG)), fetch.BROKEN),
    "half, and more bytes": (answer(NOISE, announced=len(NOISE) // 2), "not decoded: "),
    "no http": (raw(b"SSH-2.0-OpenSSH\r\n"), fetch.BROKEN),
    "hung up": (raw(b""), fetch.NO_CONNECTION),
    "no gzip": (answer(JPEG, Content_Encoding="gzip"), fetch.CUT_SHORT),
    "large": (answer(LARGE), "too many bytes"),
    "large, not announced": (raw(STATUS + LARGE), "too many bytes"),
    "large when unpacked": (answer(gzip.compress(LARGE), Content_Encoding="gzip"), "too many bytes"),
    "bomb": (answer(png_of(30_000, 30_000)), "too many pixels"),
    "40 megapixels, png": (answer(png_of(8000, 5000)), "too many pixels"),
    "40 megapixels, jpeg": (answer(jpeg_of(8000, 5000)), "too many pixels"),
    "blank": (answer(encoded(Image.new("RGB", (60, 80), "white"))), "blank: one uniform colour"),
    "404": (answer(JPEG, 404), "404"),
    "204": (answer(b"", 204), "204"),
    "429": (answer(b"", 429, Retry_After="0"), "429"),
    "503": (answer(b"", 503, Retry_After="soon", X_Robots_Tag="noai"), "503"),
    "redirect to a file": (answer(b"", 302, Location="file:///etc/hostname"), f"redirect to {fetch.SCHEME}"),
    "redirect nowhere": (answer(b"", 302), "302"),
    "redirect to no address": (answer(b"", 301, Location="http://["), fetch.BAD_ADDRESS),
    "redirect loop": (answer(b"", 307, Location="redirect loop".replace(" ", "%20")), "too many redirects"),
    "opted out": (answer(JPEG, X_Robots_Tag="noindex, NoAI"), "opted out"),
    "opted out after a value": (answer(JPEG, X_Robots_Tag="max-snippet: 10, noimageai"), "opted out"),
    "opted out by our name": (answer(JPEG, X_Robots_Tag="otherbot: all, MLOB : noai"), "opted out"),
    "not to be indexed by us": (answer(JPEG, X_Robots_Tag="mlob: nofollow, noindex"), "opted out"),
    "mining reserved": (answer(JPEG, TDM_Reservation=" 1"), "opted out"),
    "opted out on the way": (answer(b"", 302, Location="plain", X_Robots_Tag="noai"), "opted out"),
}


def set_of(folder, urls):
    """A data set whose train photos have these urls: {id: url, or a tuple of them}."""
    mirrors = tuple((one,) if isinstance(one, str) else one for one in urls.values())
    split = Split("train", tuple(urls), mirrors, None)
    return DataSet("photos", folder, Labels((), (), ()), {"train": split})


def download_photos(dataset, limits=LIMITS, **options):
    return download.photos(dataset, size=SIZE, limits=limits, **{"allow_private": True, **options})


def table(folder):
    with open(folder / "images" / "train.csv", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def reasons(folder):
    return {row["id"]: row["reason"] for row in table(folder)}


def quoted(name):
    return name.replace(" ", "%20")


# Every good photo is there, every bad one has its reason


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """All good and bad photos in one run: (folder, summary, the server that was)."""
    folder = tmp_path_factory.mktemp("photos")
    with serving() as server:
        server.pages = {quoted(name): page for name, page in GOOD.items()}
        server.pages |= {quoted(name): page for name, (page, _) in BAD.items()}
        urls = {name: server.url(quoted(name)) for name in (*GOOD, *BAD)}
        yield folder, download_photos(set_of(folder, urls)), server


@pytest.mark.parametrize("name", GOOD)
def test_a_good_photo_is_there_however_it_was_sent(outcome, name):
    folder = outcome[0]
    with Image.open(folder / "images" / "train" / f"{name}.jpg") as there:
        assert (there.format, there.mode, there.size) == ("JPEG", "RGB", (SIZE, SIZE))
    assert reasons(folder)[name] == ""


@pytest.mark.parametrize("name", BAD)
def test_a_bad_photo_has_its_reason_and_no_file(outcome, name):
    folder = outcome[0]
    wanted = BAD[name][1]
    assert reasons(folder)[name].startswith(wanted) if wanted.endswith(" ") else reasons(folder)[name] == wanted
    assert not (folder / "images" / "train" / f"{name}.jpg").exists()


def test_the_table_lists_each_photo_once_in_order_and_no_part_stays(outcome):
    folder = outcome[0]
    assert [row["id"] for row in table(folder)] == [*GOOD, *BAD]
    assert {path.name for path in (folder / "images" / "train").iterdir()} == {f"{name}.jpg" for name in GOOD}


def test_the_summary_counts_what_the_table_lists(outcome):
    folder, summary, _ = outcome
    failed = collections.Counter(row["reason"] for row in table(folder) if row["state"] == "failed")
    assert summary.done == len(GOOD)
    assert summary.failed == failed
    assert summary.photos == len(GOOD) + failed.total()
    assert summary.may_pass == sum(failed[reason] for reason in failed if fetch.may_pass(reason))
    assert f"{len(GOOD)} of {len(GOOD) + len(BAD)} photos" in download.summary(summary)


def test_only_what_may_pass_is_asked_again_in_a_run(outcome):
    _, _, server = outcome
    for name, (_, reason) in BAD.items():
        if name not in ("redirect loop", "hung up"):  # aiohttp asks once more where a kept connection was hung up
            assert server.asked[quoted(name)] == (LIMITS.attempts if fetch.may_pass(reason) else 1), name


def test_a_photo_is_as_it_would_be_decoded_in_training(outcome):
    there = images.decode((outcome[0] / "images" / "train" / "plain.jpg").read_bytes(), SIZE)
    assert np.abs(there.astype(float) - images.decode(JPEG, SIZE)).mean() < 8


def test_of_an_animation_the_first_frame_is_taken(outcome):
    there = images.decode((outcome[0] / "images" / "train" / "animation.jpg").read_bytes(), SIZE)
    near, far = (images.decode(encoded(photo(seed=seed)), SIZE).astype(float) for seed in (1, 2))
    assert np.abs(there - near).mean() < np.abs(there - far).mean() / 2


def test_photos_without_an_address_or_with_an_odd_one_have_a_reason(tmp_path, server):
    urls = {
        "none": (), "a path": "there/a.jpg", "ftp": "ftp://127.0.0.1/a.jpg", "file": "file:///etc/hostname",
        "no host": "http:///a.jpg", "broken": "http://[::1/a.jpg", "bad port": "http://127.0.0.1:99999999/",
        "a/b": server.url("plain"), "n" * 151: server.url("plain"),
    }  # fmt: skip
    download_photos(set_of(tmp_path, urls))
    wanted = [download.NO_ADDRESS] * 2 + [fetch.SCHEME] * 2 + [fetch.BAD_ADDRESS] * 3 + [download.BAD_ID] * 2
    assert list(reasons(tmp_path).values()) == wanted


def test_without_any_web_address_there_is_nothing_to_do(tmp_path):
    summary = download_photos(set_of(tmp_path, {"1": "there/1.jpg", "2": ()}))
    assert "nothing to download" in download.summary(summary)
    assert not any(tmp_path.iterdir())


def test_a_server_that_never_ends_its_header_is_left_in_time(tmp_path, server):
    server.pages = {"1": functools.partial(drip, head=b"HTTP/1.1 200 OK\r\nX-Long: ")}
    download_photos(set_of(tmp_path, {"1": server.url("1")}), fetch.Limits(total_seconds=0.5, attempts=1))
    assert reasons(tmp_path) == {"1": fetch.TIMED_OUT}


def test_a_host_is_told_who_asks_and_whom_to_write_to(tmp_path, server):
    asked = []

    def page(handler, count):
        asked.append(handler.headers["User-Agent"])
        answer(JPEG)(handler, count)

    server.pages = {"1": page, "2": page}
    download_photos(set_of(tmp_path / "a", {"1": server.url("1")}))
    download_photos(
        set_of(tmp_path / "b", {"2": server.url("2")}), contact="https://example.org/photos, me@example.org"
    )
    assert asked == ["mlob", "mlob (+https://example.org/photos, me@example.org)"]


@pytest.mark.parametrize("contact", ["a\nb", "a\r\nX-Other: b", "\x7f", "\u00e4", "(a)", "a" * 201])
def test_a_contact_that_no_header_holds_is_refused(tmp_path, contact):
    with pytest.raises(InputError, match=r"contact .* expected a mail or web address"):
        download_photos(set_of(tmp_path, {"1": "http://127.0.0.1:1/"}), contact=contact)
    assert not any(tmp_path.iterdir())


def test_one_picture_behind_many_addresses_is_told_and_told_again(tmp_path, server):
    placeholder = answer(encoded(photo(seed=9)))
    server.pages = {f"gone {number}": placeholder for number in range(4)}
    server.pages |= {
        "twice": answer(encoded(photo(seed=8))),
        "again": answer(encoded(photo(seed=8))),
        "one": answer(JPEG),
    }
    server.pages = {quoted(name): page for name, page in server.pages.items()}
    dataset = set_of(tmp_path, {name: server.url(name) for name in server.pages} | {"one more": server.url("one")})
    for _ in range(2):
        summary = download_photos(dataset)
        assert summary.alike == [(4, tmp_path / "images/train/gone%200.jpg")]
        assert f"4 addresses gave the same picture, perhaps a placeholder: {summary.alike[0][1]}" in download.summary(
            summary
        )
    assert server.asked.total() == 8


def test_a_table_of_before_there_were_digests_is_read(several, server, tmp_path):
    path = tmp_path / "images" / "train.csv"
    path.write_text("".join(line.rpartition(",")[0] + "\n" for line in path.read_text().splitlines()))
    assert download_photos(several).done == 1
    assert server.asked == {"busy": LIMITS.attempts}
    assert path.read_text().startswith("id,state,reason,url,size,digest\n")


# Mirrors, retries, hosts


def test_mirrors_are_tried_in_order_until_one_is_good(tmp_path, server):
    server.pages = {"gone": answer(b"", 404), "html": answer(b"<html>"), "good": answer(JPEG), "never": answer(JPEG)}
    names = ("gone", "html", "good", "never")
    download_photos(set_of(tmp_path, {"1": ("there/1.jpg", *map(server.url, names))}))
    assert table(tmp_path)[0]["url"] == server.url("good")
    assert server.asked == {"gone": 1, "html": 1, "good": 1}


def test_of_mirrors_that_all_fail_the_reason_that_may_pass_is_told(tmp_path, server):
    server.pages = {"gone": answer(b"", 404), "busy": answer(b"", 503), "html": answer(b"<html>")}
    download_photos(
        set_of(tmp_path, {"1": tuple(map(server.url, server.pages)), "2": (server.url("html"), server.url("gone"))})
    )
    assert reasons(tmp_path) == {"1": "503", "2": "not an image"}
    assert server.asked == {"gone": 2, "busy": 2, "html": 2}


def test_a_host_that_asks_to_wait_is_left_alone_for_that_long(tmp_path, server):
    server.pages = {"1": first(answer(b"", 429, Retry_After="1"), answer(JPEG)), "2": answer(JPEG)}
    download_photos(set_of(tmp_path, {name: server.url(name) for name in "12"}), limits=fetch.Limits(of_a_host=1))
    refused, again = server.times["1"]
    assert min(again, *server.times["2"]) - refused >= 1
    assert not any(reasons(tmp_path).values())


def test_a_host_that_asks_for_an_hour_is_asked_after_the_longest_wait(tmp_path, server):
    server.pages = {"1": first(answer(b"", 503, Retry_After="3600"), answer(JPEG))}
    limits = fetch.Limits(retry_after_seconds=0.05, backoff_seconds=0.01)
    assert download_photos(set_of(tmp_path, {"1": server.url("1")}), limits).done == 1


def test_few_requests_go_to_one_host_at_a_time_and_few_photos_are_under_way(tmp_path, server):
    both = threading.Barrier(2, timeout=20)

    def page(handler, count):
        both.wait()  # answers come in twos, so that two requests at a time are needed
        server.over.wait(0.05)  # long enough for a third to show
        answer(JPEG)(handler, count)

    server.pages = {str(number): page for number in range(8)}
    urls = {name: server.url(name) for name in server.pages}
    for place, limits in enumerate((fetch.Limits(of_a_host=2), fetch.Limits(under_way=2))):
        assert download_photos(set_of(tmp_path / str(place), urls), limits).done == 8
        assert server.most == 2


def test_a_host_that_keeps_failing_is_given_up_and_no_other(tmp_path, server):
    server.pages = {"good": answer(JPEG)}
    with serving("127.0.0.2") as failing:
        failing.pages = {str(number): answer(b"", 503) for number in range(100)}
        urls = {name: failing.url(name) for name in failing.pages} | {"good": server.url("good")}
        summary = download_photos(set_of(tmp_path, urls), fetch.Limits(failures=10, of_a_host=4, backoff_seconds=0.01))
    assert sum(failing.asked.values()) <= 10 + 4
    assert set(summary.failed) <= {"503", fetch.GIVEN_UP}
    assert (summary.done, summary.may_pass) == (1, 100)


# Private addresses


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::ffff:127.0.0.1]"])
def test_a_private_address_is_not_asked_however_it_is_written(tmp_path, server, host):
    server.pages = {"1": answer(JPEG)}
    download_photos(set_of(tmp_path, {"1": server.url("1", host)}), allow_private=False)
    assert reasons(tmp_path)["1"] in (fetch.PRIVATE, fetch.BAD_ADDRESS)
    assert not server.asked


def test_a_redirect_to_a_private_address_is_not_followed(tmp_path, server, monkeypatch):
    monkeypatch.setattr(hosts, "is_public", lambda address: address == "127.0.0.1")
    server.pages = {"1": answer(b"", 302, Location="http://127.0.0.2:1/"), "2": answer(JPEG)}
    download_photos(set_of(tmp_path, {name: server.url(name) for name in "12"}), allow_private=False)
    assert reasons(tmp_path) == {"1": f"redirect to {fetch.PRIVATE}", "2": ""}


def test_a_name_that_resolves_to_another_address_the_next_time_is_checked_when_dialled(tmp_path, server, monkeypatch):
    answers = iter(["8.8.8.8", "127.0.0.1"])

    def resolve(host, port, *args, **options):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    server.pages = {"1": answer(JPEG)}
    assert hosts.is_public(socket.getaddrinfo("rebound.test", 80)[0][4][0])
    download_photos(set_of(tmp_path, {"1": server.url("1", "rebound.test")}), allow_private=False)
    assert reasons(tmp_path) == {"1": fetch.PRIVATE}
    assert not server.asked


def test_a_name_that_is_not_known_may_be_known_later(tmp_path, monkeypatch):
    def resolve(*args, **options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    summary = download_photos(set_of(tmp_path, {"1": "http://nowhere.test/1.jpg"}))
    assert summary.failed == {fetch.NO_HOST: 1}
    assert summary.may_pass == 1


def test_a_photo_at_a_private_address_is_asked_for_once_that_is_allowed(tmp_path, server):
    server.pages = {"1": answer(JPEG)}
    dataset = set_of(tmp_path, {"1": server.url("1")})
    assert download_photos(dataset, allow_private=False).done == 0
    assert download_photos(dataset).done == 1


def test_a_proxy_of_the_environment_is_not_asked(tmp_path, server, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.pages = {"1": answer(JPEG)}
    assert download_photos(set_of(tmp_path, {"1": server.url("1")})).done == 1


# Again


@pytest.fixture
def several(tmp_path, server):
    """A data set with a photo of each fate, downloaded once."""
    server.pages = {"gone": answer(b"", 404), "busy": answer(b"", 503), "html": answer(b"<p>"), "good": answer(JPEG)}
    dataset = set_of(tmp_path, {name: server.url(name) for name in server.pages})
    download_photos(dataset)
    server.asked.clear()
    return dataset


def test_a_rerun_asks_only_for_what_may_pass_and_leaves_the_rest_as_it_was(several, server, tmp_path):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    download_photos(several)
    assert server.asked == {"busy": LIMITS.attempts}
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*")} == before


def test_a_photo_that_is_missing_or_empty_is_asked_for_again(several, server, tmp_path):
    server.pages["busy"] = answer(JPEG)
    good = tmp_path / "images" / "train" / "good.jpg"
    good.unlink()
    download_photos(several)
    assert server.asked == {"good": 1, "busy": 1}
    good.write_bytes(b"")
    download_photos(several)
    assert server.asked == {"good": 2, "busy": 1}


def test_a_photo_put_there_by_hand_is_not_asked_for(several, server, tmp_path):
    (tmp_path / "images" / "busy.png").write_bytes(encoded(photo(), "PNG"))
    assert download_photos(several).done == 2
    assert not server.asked


def test_a_photo_that_failed_for_good_is_asked_for_at_a_new_address(several, server, tmp_path):
    server.pages = {"moved": answer(JPEG)}
    download_photos(set_of(tmp_path, {"gone": server.url("moved")}))
    assert server.asked == {"moved": 1}


def test_two_downloads_of_one_photo_give_equal_bytes(several, server, tmp_path):
    download_photos(set_of(tmp_path / "again", {"good": server.url("good")}))
    there = "images/train/good.jpg"
    assert (tmp_path / "again" / there).read_bytes() == (tmp_path / there).read_bytes()


def test_an_id_that_a_spreadsheet_would_run_is_kept_from_it_and_known_again(server, tmp_path):
    server.pages = {"gone": answer(b"", 404)}
    dataset = set_of(tmp_path, {"=1+1": server.url("gone")})
    download_photos(dataset)
    download_photos(dataset)
    assert server.asked == {"gone": 1} and list(reasons(tmp_path)) == ["'=1+1"]


def test_the_half_of_a_line_is_no_harm(several, server, tmp_path):
    path = tmp_path / "images" / "train.csv"
    whole = path.read_bytes()
    for end in (*range(0, len(whole), 11), *range(len(whole) - 5, len(whole))):
        path.write_bytes(whole[:end])
        server.asked.clear()
        download_photos(several)
        assert server.asked["good"] == 0
        assert list(reasons(tmp_path)) == list(server.pages)


def test_what_a_killed_process_had_half_written_is_removed(several, tmp_path):
    part = part_path(tmp_path / "images" / "train" / "busy.jpg")
    part.write_bytes(JPEG[:100])
    os.utime(part, (0, 0))
    download_photos(several)
    assert not part.exists()


def test_a_table_of_something_else_is_not_overwritten(several, tmp_path):
    path = tmp_path / "images" / "train.csv"
    path.write_text("image,labels\n1,red\n")
    with pytest.raises(InputError, match=r"train\.csv is not a table of downloads"):
        download_photos(several)
    assert path.read_text() == "image,labels\n1,red\n"


HEADS = [b"id,state,reason,url,size,digest\n", b"id,state,reason,url,size\n", b"\xef\xbb\xbfid,", b""]


@settings(deadline=None, max_examples=100)
@given(
    st.sampled_from(HEADS),
    st.lists(st.sampled_from([b"1,done,,u,32,0", b"2,failed", b'"', b"\n", b"\0", b","]) | st.binary()),
)
@example(HEADS[0], [b"1,done,,", b"u" * 200_000, b",32,0\n"])
def test_whatever_bytes_a_table_holds_it_is_read_or_refused(tmp_path_factory, head, parts):
    path = tmp_path_factory.mktemp("tables") / "train.csv"
    path.write_bytes(head + b"".join(parts))
    with contextlib.suppress(InputError):
        for name, row in downloaded.read(path).items():
            assert (name, len(row)) == (row.id, 6)


def test_photos_of_two_sizes_do_not_mix(several):
    with pytest.raises(InputError, match=r"prepared at 32 pixels, expected 64"):
        download.photos(several, size=64, allow_private=True, limits=LIMITS)


SCRIPT = f"""
import pathlib, signal, sys
from mlob.data import download, fetch
from mlob.data.dataset import read_dataset
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores it
dataset = read_dataset(pathlib.Path(sys.argv[1]))
download.photos(dataset, size={SIZE}, allow_private=True, limits=fetch.Limits(under_way=4))
"""


@pytest.mark.slow
def test_two_kills_and_a_ctrl_c_lose_what_was_under_way_and_nothing_comes_twice(tmp_path, server):
    running, total, under_way = [], 60, 4
    fatal = [(15, signal.SIGKILL), (30, signal.SIGKILL), (45, signal.SIGINT)]

    def page(handler, count):
        with server.lock:
            if fatal and server.asked.total() >= fatal[0][0]:
                running[-1].send_signal(fatal.pop(0)[1])
        (answer(b"", 404) if handler.path.endswith("7") else answer(JPEG))(handler, count)

    server.pages = {str(number): page for number in range(total)}
    records = ", ".join(f'{{"imageId": "{name}", "url": "{server.url(name)}"}}' for name in server.pages)
    (tmp_path / "train.json").write_text(f'{{"images": [{records}]}}')

    there, asked_before = set(), {}
    for code in (-signal.SIGKILL, -signal.SIGKILL, -signal.SIGINT, 0):
        running.append(subprocess.Popen([sys.executable, "-c", SCRIPT, tmp_path], stderr=subprocess.DEVNULL))
        assert running[-1].wait(60) == code
        assert all(server.asked[name] == count for name, count in asked_before.items())
        there = {path.stem for path in (tmp_path / "images" / "train").glob("[0-9]*.jpg")}
        asked_before = {name: server.asked[name] for name in there}

    assert server.asked.total() <= total + 3 * under_way  # what was under way is asked for again
    assert there == {name for name in server.pages if not name.endswith("7")}
    assert [row["id"] for row in table(tmp_path)] == list(server.pages)
    assert {row["id"] for row in table(tmp_path) if row["reason"] == "404"} == set(server.pages) - there
    assert all(PART.fullmatch(path.name) for path in (tmp_path / "images" / "train").glob(".*"))


# The disk


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_disk_that_takes_no_photo_ends_the_run_with_a_sentence(tmp_path, server, monkeypatch, number):
    def refuse(path, data):
        path.touch()
        raise OSError(number, os.strerror(number))

    server.pages = {str(index): answer(JPEG) for index in range(20)}
    dataset = set_of(tmp_path, {name: server.url(name) for name in server.pages})
    monkeypatch.setattr(pathlib.Path, "write_bytes", refuse)
    with pytest.raises(InputError, match=rf"images/train cannot be written \({os.strerror(number)}\).*DATA="):
        download_photos(dataset)
    assert not list((tmp_path / "images" / "train").iterdir())
    monkeypatch.undo()
    assert download_photos(dataset).done == 20


def test_a_folder_that_cannot_be_made_ends_the_run_with_a_sentence(tmp_path, server):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "train").touch()
    with pytest.raises(InputError, match="images/train cannot be written"):
        download_photos(set_of(tmp_path, {"1": server.url("1")}))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_ends_the_run_with_a_sentence(tmp_path, server):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        download_photos(set_of(tmp_path, {"1": server.url("1")}))
    tmp_path.chmod(0o700)
