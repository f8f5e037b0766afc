"""One client for every engine: versions, sockets, errors, streams."""

import json
import socket
import threading
import time

import pytest

from opstasks.onhost import engine as docker
from opstasks.onhost.engine import Engine, EngineError
from tests.fake_engine import DOCKER_20, DOCKER_29, Release


def test_every_engine_is_asked_in_its_own_version(any_engine):
    any_engine.containers = [{"Names": ["/os-job-a"]}]
    engine = Engine()
    assert engine.get("containers", "json", all="1") == [{"Names": ["/os-job-a"]}]
    assert engine.version == any_engine.release.api
    assert any_engine.log == [
        (None, "GET", "/_ping"),
        (any_engine.release.newest, "GET", "/containers/json"),
    ]


def test_a_containers_name_is_one_part_of_the_path(start_engine):
    engine = start_engine(DOCKER_29)
    with pytest.raises(EngineError):
        Engine().get("containers", "../images/secret?x=1", "json")
    assert engine.raw_paths[-1] == "/v1.52/containers/..%2Fimages%2Fsecret%3Fx%3D1/json"


def test_a_stream_works_with_every_engine(any_engine):
    any_engine.answers["/containers/os-job-a/stats"] = (200, b'{"n": 1}\r\n{"n": 2}\r\n{"n": 3}')
    assert Engine().first(2, "containers", "os-job-a", "stats", stream="1") == [{"n": 1}, {"n": 2}]
    assert any_engine.log[-1][0] == any_engine.release.newest


def test_an_engine_newer_than_us_is_asked_in_the_newest_version_we_know(start_engine):
    newer = start_engine(Release("40", (1, 44), (1, 70)))
    Engine().get("info")
    assert newer.log[-1][0] == docker.NEWEST_VERSION


def test_an_engine_that_dropped_our_newest_version_says_so(start_engine):
    start_engine(Release("50", (1, 60), (1, 70)))
    with pytest.raises(EngineError, match=r"docker says: .*too old.* 1\.60") as caught:
        Engine().get("info")
    assert caught.value.status == 400


def test_an_engine_without_a_version_is_an_error(start_engine):
    start_engine(Release("?", (1, 1), ("one", "two")))
    with pytest.raises(EngineError, match="which API version"):
        Engine().get("info")


@pytest.mark.parametrize(
    ("address", "path"),
    [("", docker.SOCKET), ("unix://", docker.SOCKET), ("unix:///run/user/1/d.sock", None)],
)
def test_docker_host_names_the_socket(monkeypatch, address, path):
    monkeypatch.setenv("DOCKER_HOST", address)
    assert docker.socket_path() == (path or "/run/user/1/d.sock")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://user:secret@10.0.0.1:2376", "tcp://"),
        ("ssh://me@host", "ssh://"),
        ("/run/docker.sock", "no scheme"),
    ],
)
def test_another_kind_of_docker_host_is_refused_by_name(monkeypatch, address, words):
    monkeypatch.setenv("DOCKER_HOST", address)
    for ask in (lambda: Engine().get("info"), lambda: Engine().first(1, "events")):
        with pytest.raises(EngineError, match="only unix://PATH is supported") as caught:
            ask()
        assert words in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_path_that_is_given_wins_over_docker_host(start_engine, monkeypatch):
    engine = start_engine()
    monkeypatch.setenv("DOCKER_HOST", "tcp://10.0.0.1:2375")
    assert Engine(engine.path).get("info") == {"DockerRootDir": engine.root}


def test_a_missing_socket_is_named_in_the_error(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineError, match=r"docker does not answer: .*none\.sock") as caught:
        Engine().get("info")
    assert caught.value.status == 0


def test_an_engine_that_is_silent_times_out(tmp_path):
    path = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        started_at = time.monotonic()
        with pytest.raises(EngineError, match="timed out"):
            Engine(path, timeout_s=0.2).get("info")
        assert time.monotonic() - started_at < 2


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n{", b"SSH-2.0-x\r\n"])
def test_a_server_that_is_not_docker_is_a_known_error(tmp_path, answer):
    path = str(tmp_path / "odd.sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve():
            client, _ = server.accept()
            with client:
                client.recv(1000)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(EngineError):
            Engine(path, timeout_s=5).get("info")


def test_errors_have_the_message_and_status_of_docker(start_engine):
    engine = start_engine(DOCKER_29)
    with pytest.raises(EngineError, match="docker says: No such image: x") as caught:
        Engine().get("images", "x", "json")
    assert caught.value.status == 404
    engine.answers["/info"] = (503, b"<html>busy</html>")
    with pytest.raises(EngineError, match="<html>busy"):
        Engine().get("info")
    engine.answers["/info"] = (500, b"")
    with pytest.raises(EngineError, match="500 Internal Server Error"):
        Engine().get("info")


def test_one_connection_serves_many_requests_and_asks_for_the_version_once(start_engine):
    running = start_engine()
    engine = Engine()
    for _ in range(3):
        engine.get("info")
    engine.close()
    engine.get("info")
    assert [path for _, _, path in running.log].count("/_ping") == 1


def test_the_first_documents_of_a_stream_are_enough(start_engine):
    running = start_engine()
    lines = [json.dumps({"n": n}).encode() for n in range(5)]
    running.answers["/containers/os-job-a/stats"] = (200, b"\r\n\r\n".join(lines))
    engine = Engine()
    assert engine.first(2, "containers", "os-job-a", "stats") == [{"n": 0}, {"n": 1}]
    assert len(engine.first(9, "containers", "os-job-a", "stats", stream="1")) == 5
    with pytest.raises(EngineError, match="page not found") as caught:
        engine.first(1, "containers", "gone", "stats")
    assert caught.value.status == 404


def test_posts_and_deletes_go_through_the_same_version(start_engine):
    running = start_engine(DOCKER_20)
    engine = Engine()
    assert engine.post("images", "x", "tag", repo="h:5000/a/b", tag="v1") is None
    assert running.tags["h:5000/a/b:v1"] == "x"
    assert engine.delete("images", "h:5000/a/b@sha256:0") == []
    assert running.requests("DELETE") == ["/images/h:5000/a/b@sha256:0"]
    assert {version for version, _, path in running.log if path != "/_ping"} == {(1, 41)}
