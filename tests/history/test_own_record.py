"""`history` where the operator's own record cannot be read: an error, and no claim about it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import json_schema


@pytest.fixture
def history(tmp_path):
    """Run `history` with these words, and with an own record that is no file."""
    state = tmp_path / "opstasks"
    (state / "audit.jsonl").mkdir(parents=True)
    (tmp_path / "hosts.yaml").write_text("hosts: {tpp: {address: 127.0.0.1, port: 1}}")

    def run(*words):
        return subprocess.run(
            [str(Path(sys.executable).with_name("opstasks")), *words, "history"],
            env={
                **os.environ,
                "XDG_STATE_HOME": str(tmp_path),
                "OPSTASKS_HOSTS": str(tmp_path / "hosts.yaml"),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("words", [(), ("-H", "tpp")])
def test_it_is_one_error_with_a_hint(history, tmp_path, words):
    done = history(*words)
    assert (done.returncode, done.stdout) == (1, "")
    path = tmp_path / "opstasks/audit.jsonl"
    said = done.stderr.splitlines()
    assert f"error  your own record {path} cannot be read: is a directory" in said
    assert f"next:  make {path} a readable file of your own, or move it away" in said
    assert "no change" not in done.stderr


@pytest.mark.parametrize("words", [(), ("-H", "tpp")])
def test_the_document_has_the_reason_of_its_exit_code(history, words):
    done = history("--json", *words)
    document = json.loads(done.stdout)
    json_schema.check("history", document)
    assert done.returncode == document["exit_code"] == 1
    assert "cannot be read" in document["error"]["message"]
    assert list(document["hosts"]) == list(words[1:])
    assert "your own record" not in done.stderr
