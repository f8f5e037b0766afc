"""The connection to the engine, without an engine: its address and its errors."""

import json

import docker
import pytest
import requests

from opstasks.sandbox import api, engine, image
from opstasks.sandbox.errors import SandboxError


@pytest.fixture
def no_engine(monkeypatch, tmp_path):
    """The address of a socket on which nothing listens."""
    address = f"unix://{tmp_path}/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", address)
    return address


@pytest.mark.parametrize("chosen", ["tcp://elsewhere:2375", "ssh://ops@elsewhere", "elsewhere"])
def test_an_engine_on_another_machine_is_refused(monkeypatch, chosen):
    monkeypatch.setenv("DOCKER_HOST", chosen)
    with pytest.raises(SandboxError, match="not on this machine"):
        engine.engine_problem()


def test_without_a_choice_the_engine_is_at_its_usual_place(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "")
    assert engine.address() == "unix:///var/run/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert engine.address() == "unix:///run/other.sock"


def test_an_engine_that_does_not_answer_is_a_problem_in_one_line(no_engine):
    problem = engine.engine_problem()
    assert problem == f"cannot connect to {no_engine}: No such file or directory"


def test_without_an_engine_no_host_is_up(no_engine):
    assert api.status() == []
    with pytest.raises(SandboxError, match="no host sandbox-1 here"):
        api.find("sandbox-1")


def response(status, message):
    found = requests.Response()
    found.status_code, found.reason = status, "Conflict"
    found.url = "http+docker://localhost/containers/x"
    return docker.errors.APIError("409", response=found, explanation=message)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (response(409, "name\nin use"), "name in use"),
        (response(500, None), "500 Server Error for http+docker://localhost/containers/x"),
        (docker.errors.DockerException("no\n answer"), "no answer"),
        (requests.exceptions.ReadTimeout("read timed out"), "read timed out"),
    ],
)
def test_errors_of_the_sdk_become_one_line_with_a_hint(error, said):
    with pytest.raises(SandboxError) as caught, engine.engine_errors():
        raise error
    assert caught.value.problem.startswith(f"Docker: {said}")
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_an_imported_image_is_known_by_the_last_line_of_the_answer():
    lines = [{"status": "Importing"}, {"status": "sha256:abc"}]
    assert image.imported_id("\r\n".join(map(json.dumps, lines))) == "sha256:abc"


@pytest.mark.parametrize(
    ("answer", "said"),
    [("", "no answer"), ('{"status": "x"}\n{"error": "no space left"}\n', "no space left")],
)
def test_an_import_that_failed_is_an_error(answer, said):
    with pytest.raises(SandboxError, match=said):
        image.imported_id(answer)
