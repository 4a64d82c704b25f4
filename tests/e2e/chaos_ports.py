"""chaos_ports - for chaos.py: what clients do with an app on a port, and what
must hold of it.  Each takes a round of chaos.py as self.
"""
import base64
import hashlib
import json
import random
import threading
import time

from chaos_parts import known, make_frame
from report import equal, true


def judge(self, answer, name, size):
    """The download is whole and right, or visibly not."""
    if self.spoilt:
        return
    if answer.status != 200:
        self.refused(answer)
        return
    want = known(name, size)
    equal(answer.headers.get("x-id"), name)
    true(want.startswith(answer.body), f"other bytes: {answer}")
    if answer.whole and len(answer.body) != size and answer.end == "fin":
        # HTTP/1.0: the proxy's own FIN cannot be told from an end.
        true("content-length" not in answer.headers and not self.front.harmless(), f"a clean end: {answer}")
    elif answer.whole:
        equal(len(answer.body), size)
    else:
        true(not self.harmless, f"harmed by what harms nobody: {answer}")
        self.cut_is_seen(answer)


def sizes(rng):
    return rng.choice((0, rng.randint(1, 300), rng.randint(1, 20000), rng.randint(1, 20000), rng.randint(60000, 70000), rng.randint(1, 400000)))


def get(self, rng):
    name, size = self.name(), sizes(rng)
    how = rng.choice(("length", "chunks", "events"))
    return name, size, self.head("GET", f"/get?id={name}&n={size}&how={how}", version="1.0" if rng.random() < 0.1 else "1.1")


def downloads(self, rng):
    """One after the other on a connection, as long as it is kept."""
    asks = [get(self, rng) for _ in range(rng.randint(1, 5))]
    self.plan(200 * len(asks), sum(size for _, size, _ in asks))
    client = self.client()
    for name, size, head in asks:
        if rng.random() < 0.1 and not self.shared:
            # A kept connection of the pool dies; nobody has to know.
            self.lane.back.release()
        client.send(head)
        if rng.random() < 0.1:
            client.timeout = 0.2
            client.wait(rng.randint(0, size))
            break
        answer = client.answer()
        judge(self, answer, name, size)
        if not answer.kept():
            break
    self.leave(client)


def pipelines(self, rng):
    """Several at once; the answers come in order."""
    asks = [get(self, rng) for _ in range(rng.randint(2, 6))]
    self.plan(200 * len(asks), sum(size for _, size, _ in asks))
    client = self.client()
    client.send(b"".join(head for _, _, head in asks))
    for name, size, _ in asks:
        answer = client.answer()
        judge(self, answer, name, size)
        if not answer.kept():
            break
    self.leave(client)


def in_chunks(rng, data):
    at, most = 0, rng.choice((10, 1000, 100000))
    most = max(most, len(data) // 200)
    while at < len(data):
        piece = data[at:at + rng.randint(1, most)]
        at += len(piece)
        yield b"%x\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\n\r\n"


def upload(self, rng, client, name, data, whole):
    """Send it, or a part of it."""
    chunked = rng.random() < 0.5
    fields = {"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": len(data)}
    expects = rng.random() < 0.2
    if expects:
        fields["Expect"] = "100-continue"
    head = self.head(rng.choice(("PUT", "POST")), f"/put?id={name}", **fields)
    pieces = list(in_chunks(rng, data)) if chunked else [data[at:at + 30000] for at in range(0, len(data), 30000)]
    rest = head
    if expects:
        client.send(head)
        if not client.told_to_continue():
            return
        rest = b""
    if not whole:
        pieces = pieces[:rng.randint(0, max(0, len(pieces) - 1))]
        if pieces and len(pieces[-1]) > 1:
            pieces[-1] = pieces[-1][:-1]
    for piece in pieces:
        rest += piece
        if len(rest) > 10000 or rng.random() < 0.1:
            if not client.send(rest):
                return
            rest = b""
            if rng.random() < 0.05:
                time.sleep(0.005)
    client.send(rest)


def uploads(self, rng):
    todo = [(self.name(), sizes(rng)) for _ in range(rng.randint(1, 4))]
    self.plan(sum(size for _, size in todo), 200 * len(todo))
    client = self.client()
    app = self.world.tls_app if self.lane.name == "https" else self.world.app
    for name, size in todo:
        data = known(name, size)
        whole = size == 0 or rng.random() < 0.85
        self.lane.sent[name] = (size, hashlib.sha256(data).hexdigest()) if whole else None
        if self.spoilt:
            self.lane.sent[name] = "spoilt"
        upload(self, rng, client, name, data, whole)
        if not whole:
            break
        answer = client.answer()
        if not self.spoilt and answer.status == 200 and answer.whole:
            equal(answer.headers.get("x-id"), name)
            equal([app.uploads.get(name), json.loads(answer.body)], [[self.lane.sent[name]], list(self.lane.sent[name])])
        elif not self.spoilt:
            self.refused(answer)
        if not answer.kept():
            break
    self.leave(client)


def websockets(self, rng):
    name, frames, total = self.name(), [], 0
    for _ in range(rng.randint(1, 12)):
        size = rng.choice((0, 1, 125, 126, 65535, 65536, rng.randint(0, 5000), rng.randint(0, 80000), rng.randint(0, 80000), rng.randint(0, 1 << 20)))
        total += size
        frames.append(known(f"{name}-{len(frames)}", size if total < 1 << 21 else 10))
    self.plan(total, total)
    client = self.client()
    if not switch(self, client, f"/ws?id={name}", name):
        return
    want = b""
    for data in frames:
        mask = rng.randbytes(4)
        want += make_frame(2, data)
        if not client.send(make_frame(2, data, mask)):
            break
        if rng.random() < 0.3:
            time.sleep(rng.choice((0, 0.005, 0.05)))
        if rng.random() < 0.5:
            client.wait(rng.randint(0, len(want)))
    # Python's unwrap() reads, and breaks on data: no half-close over TLS here.
    how = rng.choice(("close",) * 12 + ("leave", "leave", "leave" if self.tls else "half"))
    if how == "close":
        want += make_frame(8, b"\x03\xe8")
        client.send(make_frame(8, b"\x03\xe8", b"abcd"))
    elif how == "half":
        client.half()
    if how != "leave":
        client.drain()
        if self.harmless:
            equal((how, len(client.data), client.end), (how, len(want), "notify" if self.tls else "fin"))
    if not self.spoilt:
        true(want.startswith(client.data), f"other bytes: {len(client.data)} of {len(want)}")
    self.leave(client)


def switch(self, client, path, name):
    """A WebSocket; None: there is none, as it may be."""
    key = base64.b64encode(known(name, 16)).decode()
    client.send(self.head("GET", path, Upgrade="websocket", Connection="Upgrade", Sec_WebSocket_Key=key, Sec_WebSocket_Version=13))
    answer = client.answer()
    if answer.status == 101:
        return True
    if not self.spoilt:
        self.refused(answer)
    self.leave(client)
    return False


def last_words(self, rng):
    """An app that says why it ends a tunnel, and closes while we speak."""
    name = self.name()
    self.plan(200000, 20000)
    client = self.client()
    if not switch(self, client, f"/last?id={name}", name):
        return
    want = make_frame(2, known(name, 20000)) + make_frame(8, b"\x03\xf0")
    client.send(make_frame(2, bytes(rng.randint(0, 1000)), b"abcd") * rng.randint(2, 200))
    client.drain()
    if not self.spoilt:
        true(want.startswith(client.data), f"other bytes: {len(client.data)} of {len(want)}")
    if self.harmless and not any(plan.ways["down"].slices for plan in (self.front, self.back)):
        # Many small pieces fill a socket, and a reset drops what waits.
        equal(len(client.data), len(want))
    self.leave(client)


def together(self, rng):
    """Several clients at once: no one has another's bytes."""
    self.plan(20000, 200000)
    self.shared = True
    failed = []

    def one(seed):
        mine = random.Random(seed)
        try:
            mine.choice((downloads, downloads, pipelines, uploads, websockets))(self, mine)
        except (ValueError, KeyError) as error:
            failed.extend([] if self.spoilt else [error])
        except Exception as error:
            failed.append(error)
    threads = [threading.Thread(target=one, args=(rng.random(),)) for _ in range(rng.randint(2, 8))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    self.over()
    if failed:
        raise failed[0]


def ports(self):
    rng = self.rng
    rng.choice((downloads, downloads, pipelines, uploads, uploads, websockets, last_words, together))(self, rng)


def uploads_came_whole(world):
    """What an app took for whole is whole, and came once."""
    for name, lane in world.lanes.items():
        app = world.tls_app if name == "https" else world.app
        for upload_name, sent in lane.sent.items():
            if sent == "spoilt":
                continue
            have = app.uploads.get(upload_name, [])
            true(len(have) <= 1, f"{upload_name} came {len(have)} times")
            true(have in ([], [None], [sent]), f"{upload_name}: {sent} was sent, {have} came")
