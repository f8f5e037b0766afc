"""images: names, plans, and the host's side against an engine of our own behind a socket."""

import http.server
import json
import os
import re
import socketserver
import threading
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from opstasks.core.errors import Interrupted, OpsError, Refused
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec
from opstasks.images import act as workflow
from opstasks.images import registry as images
from opstasks.images.onhost import images as remote_images
from opstasks.images.registry import Image, Images, Offer, Ref

OURS, PROXY = "ghcr.io/opensafely-core", "proxy.example:5000/core"
NEW, OLD = "sha256:" + "a" * 64, "sha256:" + "b" * 64

# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ref"),
    [("ehrql", "ehrql:latest"), ("ehrql:v1", "ehrql:v1"), ("stata-mp", "stata-mp:latest")],
)
def test_an_image_is_named_by_its_last_part(text, ref):
    assert str(images.parse_ref(text)) == ref
    assert images.parse_ref(text).under(OURS + "/") == f"{OURS}/{ref}"


HOSTILE = (
    *("", ":", "a:", ":v1", "A", "a/b", "../a", "a b", "a;b", "$(id)", "`id`", "-a", "a\n", "a\0"),
    *("a:b:c", "a@sha256:00", "a:-x", "a:" + "x" * 200, "a?x=1", "a&b", "é", "a:v1/../..", "a%2f"),
)


@pytest.mark.parametrize("text", HOSTILE)
def test_anything_else_is_refused(text):
    with pytest.raises(Refused):
        images.parse_ref(text)


@settings(deadline=None)
@given(st.text(max_size=20))
@example("a:b\n")
def test_what_passes_is_a_plain_name_and_tag(text):
    try:
        ref = images.parse_ref(text)
    except Refused:
        return
    assert re.fullmatch(r"[a-z0-9._-]+:[A-Za-z0-9_.-]+", str(ref))
    assert not str(ref).endswith("\n")


def test_a_port_is_no_tag():
    assert remote_images.repository("h:5000/a/b:v1") == "h:5000/a/b"
    assert remote_images.repository("h:5000/a/b@sha256:00") == "h:5000/a/b"
    assert remote_images.repository("h:5000/a/b") == "h:5000/a/b"


# -- plans -----------------------------------------------------------------------------------


def image(id, *tags, digest="", users=()):
    return Image(id, tags, (f"{PROXY}/ehrql@{digest}",) if digest else (), 0, 1, users)


def step(*have, registries=(OURS,)):
    found = Images(have, 1, {})
    return workflow._step(Ref("ehrql", "v1"), found, registries, PROXY, NEW)


def test_an_image_that_has_the_content_is_left_alone():
    assert step(image("1", f"{OURS}/ehrql:v1", digest=NEW)) is None


def test_an_image_with_other_content_is_replaced():
    made = step(image("1", f"{OURS}/ehrql:v1", digest=OLD, users=("os-job-x",)))
    assert made.names == (f"{OURS}/ehrql:v1",)
    assert (made.replaced, made.users, made.digest) == (("1",), ("os-job-x",), NEW)


def test_every_name_that_job_runner_may_use_moves_and_one_left_by_hand_too():
    have = (
        image("1", f"{OURS}/ehrql:v1", digest=NEW),
        image("2", "other/ehrql:v1"),
        image("3", f"{PROXY}/ehrql:v1"),
    )
    made = step(*have, registries=(OURS, "other"))
    assert made.names == (f"{OURS}/ehrql:v1", "other/ehrql:v1", f"{PROXY}/ehrql:v1")
    assert set(made.replaced) == {"1", "2", "3"}


def test_an_image_that_is_not_there_is_fetched():
    assert step().replaced == ()


def plan(monkeypatch, offer, **words):
    monkeypatch.setattr(workflow, "registries", lambda host: [OURS])
    found = Images((), 1, {f"{PROXY}/ehrql:v1": offer})
    monkeypatch.setattr(workflow, "_look", lambda *asked: found)
    host = SimpleNamespace(name="h", spec=SimpleNamespace(registry_proxy=PROXY, registry=OURS))
    return workflow.plan(host, [Ref("ehrql", "v1")], **words)


def test_what_the_registry_does_not_have_is_refused(monkeypatch):
    with pytest.raises(Refused, match="manifest unknown"):
        plan(monkeypatch, Offer(error="manifest unknown"))


def test_another_digest_than_the_one_that_was_asked_for_is_refused(monkeypatch):
    assert plan(monkeypatch, Offer(NEW), digest=NEW).changed
    with pytest.raises(Refused, match="nothing was changed"):
        plan(monkeypatch, Offer(NEW), digest=OLD)


# -- the engine ------------------------------------------------------------------------------


class Engine(socketserver.ThreadingUnixStreamServer):
    """Docker as far as our script asks it: names, digests, containers, a pull."""

    daemon_threads = True

    def __init__(self, path, root):
        super().__init__(str(path), Handler)
        self.root, self.log = str(root), []
        self.tags = {f"{OURS}/ehrql:v1": "old"}
        self.digests = {"old": [f"{PROXY}/ehrql@{OLD}"], "new": [f"{PROXY}/ehrql@{NEW}"]}
        self.containers = []
        self.pull = [
            {"status": "Pulling from core/ehrql", "id": NEW},
            {"status": "Already exists", "progressDetail": {}, "id": "l1"},
            {"status": "Downloading", "progressDetail": {"current": 5, "total": 10}, "id": "l2"},
            {"status": "Download complete", "progressDetail": {}, "id": "l2"},
            {"status": "Pull complete", "progressDetail": {}, "id": "l2"},
            {"status": f"Digest: {NEW}"},
        ]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def address_string(self):
        return "local"

    def reply(self, value, status=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def answer(self):
        engine, url = self.server, urlsplit(self.path)
        path = unquote(url.path.removeprefix(remote_images.API))
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        engine.log.append((self.command, path))
        if path == "/info":
            self.reply({"DockerRootDir": engine.root})
        elif path == "/containers/json":
            self.reply(engine.containers)
        elif path == "/images/create":
            assert query == {"fromImage": f"{PROXY}/ehrql", "tag": NEW}
            self.reply(b"".join(json.dumps(line).encode() + b"\r\n" for line in engine.pull))
        elif self.command == "DELETE":
            engine.digests.pop(path.removeprefix("/images/"), None)
            self.reply([])
        elif path.endswith("/tag"):
            engine.tags[f"{query['repo']}:{query['tag']}"] = path.split("/")[2]
            self.reply(b"", 201)
        else:
            self.image(path.removeprefix("/images/").removesuffix("/json"))

    def image(self, name):
        engine = self.server
        id = engine.tags.get(name, name)
        id = next((i for i, names in engine.digests.items() if name in names), id)
        if id not in engine.digests:
            self.reply({"message": f"No such image: {name}"}, 404)
            return
        tags = [tag for tag, owner in engine.tags.items() if owner == id]
        self.reply({"Id": id, "RepoTags": tags, "RepoDigests": engine.digests[id]})

    do_GET = do_POST = do_DELETE = answer  # noqa: N815


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path / "docker.sock", tmp_path) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def asked(engine, capsys):
    """Ask the script as `main` is asked; the JSON objects that it prints."""

    def ask(do, **words):
        request = {"do": do, "socket": engine.server_address, "repository": f"{PROXY}/ehrql"}
        request |= {"digest": NEW, "every_s": 0, **words}
        try:
            remote_images.main(json.dumps(request))
        except SystemExit as ended:
            assert ended.code == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return ask


def switch(asked, **over):
    words = {"id": "new", "names": [f"{OURS}/ehrql:v1"], "replaced": ["old"], **over}
    return asked("switch", **words)[-1]


def test_a_pull_tells_of_its_layers_and_ends_with_the_image(asked):
    *told, last = asked("pull")
    assert last == {"id": "new"}
    assert told[-1] == {"layers": 2, "done": 2, "current": 10, "total": 10}
    assert {"layers": 2, "done": 1, "current": 5, "total": 10} in told


def test_a_pull_that_breaks_says_why_and_moves_no_name(asked, engine):
    engine.pull[3:] = [{"error": "unexpected EOF", "errorDetail": {}}]
    assert asked("pull")[-1] == {"error": "unexpected EOF"}
    assert engine.tags == {f"{OURS}/ehrql:v1": "old"}


@pytest.mark.parametrize(("free", "begins"), [(1 << 29, False), ((1 << 30) + 14, True)])
def test_a_disk_that_would_fill_stops_it_before_or_in_the_middle(
    asked, engine, monkeypatch, free, begins
):
    disk = SimpleNamespace(f_bavail=free, f_frsize=1)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    assert "the disk would fill" in asked("pull")[-1]["error"]
    assert (("POST", "/images/create") in engine.log) is begins


def test_names_move_and_the_old_image_goes(asked, engine):
    assert switch(asked) == {"removed": ["old"]}
    assert engine.tags == {f"{OURS}/ehrql:v1": "new"}
    assert list(engine.digests) == ["new"]


def test_an_old_image_that_a_container_or_another_name_has_stays(asked, engine):
    engine.containers = [{"ImageID": "old"}]
    assert switch(asked) == {"removed": []}
    engine.containers, engine.tags["mine:v1"] = [], "old"
    assert switch(asked) == {"removed": []}
    assert "old" in engine.digests


def test_an_image_that_is_not_what_was_asked_for_is_an_error(asked, engine):
    engine.digests["new"] = [f"{PROXY}/ehrql@{OLD}"]
    assert "is not what was pulled" in switch(asked)["error"]
    assert "old" in engine.digests


def test_an_engine_that_is_not_there_is_an_answer(asked, engine, tmp_path):
    (told,) = asked("look", socket=str(tmp_path / "nothing"), prefixes=[], sources=[])
    assert "No such file" in told["error"]
    with pytest.raises(Refused, match=r"docker: .*No such file"):
        images.answer("h", json.dumps(told))


# -- progress --------------------------------------------------------------------------------


def test_progress_is_told_line_by_line_however_it_is_cut():
    steps = []
    host = SimpleNamespace(name="h", step=steps.append, checkpoint=lambda where: None)
    text = b'{"layers": 2, "done": 1, "current": 5000000, "total": 10000000}\n{"id": "sha256:1"}\n'
    for size in (1, 7, 200):
        progress = workflow._Progress(host, Ref("ehrql", "v1"))
        for start in range(0, len(text), size):
            progress.take(text[start : start + size])
        assert (progress.image_id, progress.error) == ("sha256:1", "")
    assert set(steps) == {"ehrql:v1: 1 of 2 layers, 5.0 MB of 10.0 MB"}
    with pytest.raises(OpsError):
        workflow._Progress(host, Ref("a")).take(b"Killed\n")


def test_ctrl_c_stops_a_pull_whether_or_not_it_tells_anything():
    stop = threading.Event()
    host = Host(HostSpec(name="h", address="h"), connect=lambda spec: None, stop=stop)
    progress = workflow._Progress(host, Ref("ehrql"))
    progress.take(b"")
    stop.set()
    with pytest.raises(Interrupted, match="no name was moved; run it again"):
        progress.take(b"")


@pytest.mark.parametrize("digest", ["x", "sha256:", "sha256:" + "G" * 64, "a" * 64, "sha256:$(id)"])
def test_what_is_no_digest_is_refused_before_any_host_is_asked(digest):
    with pytest.raises(Refused, match="is no digest"):
        images.check_digest(digest)
    images.check_digest("sha256:" + "0" * 64)


def test_the_pull_has_its_script_and_nothing_secret_among_its_arguments():
    line = images.pull(f"{PROXY}/ehrql", NEW, 1).line()
    assert line.startswith(f"timeout -k 5 {images.PULL_TIMEOUT_S} python3 -I -c ")
    assert len(line) < 100_000
