"""The benchmark of the server counts what is lost or belongs to another photo, and times the rest."""

import http.server
import json
import threading

import pytest

from benchmarks import serving


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers with the first number in a photo as its probability; on the photo that is `wrong` not always rightly."""

    protocol_version, wrong, asked = "HTTP/1.1", {}, 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = body.partition(b'filename="')[2].partition(b'"')[0].decode()
        photo = body.partition(b"\r\n\r\n")[2].partition(b"\r\n")[0].decode()
        type(self).asked += 1
        status, probability = 200, float(photo)
        if self.asked > 4:
            status, name, probability = self.wrong.get(name, (status, name, probability))
        label = {"name": "red", "group": "colour", "probability": probability}
        content = json.dumps({"photos": [{"photo": name, "failure": None, "labels": [label], "others": []}]}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        Liar.asked = 0
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


PHOTOS = [b"0.25", b"0.5", b"0.75", b"1.0"]
WRONG = {
    "none": ({}, 0),
    "another's answer": ({"1": (200, "1", 0.75)}, 5),
    "another's name": ({"1": (200, "2", 0.5)}, 5),
    "a refusal": ({"1": (503, "1", 0.5), "3": (500, "3", 1.0)}, 10),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_lost_is_counted_and_every_request_is_asked_once(case, address, monkeypatch):
    wrong, lost = WRONG[case]
    monkeypatch.setattr(Liar, "wrong", wrong)
    found = serving.load(address, PHOTOS, clients=3, requests=20)
    assert (found.lost, len(found.seconds), found.clients) == (lost, 20 - lost, 3) and Liar.asked == 4 + 20
    assert 0 < max(found.seconds) <= found.wall
    assert found.row().startswith(f"| 3 | 20 | {lost} | ")


def test_the_quantiles_are_those_of_the_requests():
    row = serving.Load(8, [number / 1000 for number in range(1, 1001)], 0, 10.0).row()
    assert row == "| 8 | 1,000 | 0 | 100.0 | 500 | 990 | 1,000 |"
