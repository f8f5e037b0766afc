"""The stub job-server, in this process: no host needed, so no marker."""

import json
import threading
import urllib.error
import urllib.request

import pytest

from opstasks.sandbox import job_server


@pytest.fixture
def served(tmp_path):
    (tmp_path / "hosts.json").write_text(json.dumps({"127.0.0.1": "sandbox-1"}))
    server = job_server.server(tmp_path, 0, "127.0.0.1")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def get(url, data=None, **headers):
    request = urllib.request.Request(url, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.loads(response.read())


def test_a_caller_is_known_by_its_address(served):
    assert get(served[1] + "/") == {"host": "sandbox-1"}


def test_without_requests_a_poll_is_answered_with_none(served):
    assert get(served[1] + "/api/v2/job-requests/?backend=b") == {"results": []}


def test_requests_are_served_to_the_host_they_are_for(served):
    directory, url = served
    (directory / "sandbox-1.requests.json").write_text('[{"identifier": "a"}]')
    (directory / "sandbox-2.requests.json").write_text('[{"identifier": "b"}]')
    found = get(url + "/api/v2/job-requests/?backend=b")
    assert found == {"results": [{"identifier": "a"}]}


def test_a_poll_leaves_its_backend_and_flags(served):
    directory, url = served
    get(url + "/api/v2/job-requests/?backend=tpp", Flags='{"paused": {"v": "true"}}')
    poll = json.loads((directory / "sandbox-1.poll.json").read_text())
    assert poll["backend"] == "tpp"
    assert poll["flags"] == {"paused": {"v": "true"}}


def test_posted_jobs_are_recorded_in_order(served):
    directory, url = served
    for name in ("a", "b"):
        get(url + "/api/v2/jobs/", data=json.dumps([{"identifier": name}]).encode())
    lines = (directory / "sandbox-1.jsonl").read_text().splitlines()
    assert [json.loads(line)["jobs"][0]["identifier"] for line in lines] == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "data", "code"),
    [
        ("/nowhere/", None, 404),
        ("/nowhere/", b"[]", 404),
        ("/api/v2/jobs/", b"not json", 400),
    ],
)
def test_an_unknown_path_or_invalid_json_is_an_error(served, path, data, code):
    with pytest.raises(urllib.error.HTTPError) as error:
        get(served[1] + path, data=data)
    assert error.value.code == code
