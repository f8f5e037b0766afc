"""How the host's programs find containers, volumes and log files of jobs."""

import json
import os
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from opstasks.jobs.model import Container, LogFile
from opstasks.jobs.onhost import job_containers as containers
from opstasks.jobs.onhost import job_surroundings as around
from opstasks.jobs.onhost.job_table import BUSY_TIMEOUT_S
from opstasks.jobs.read import READ
from opstasks.onhost.engine import EngineError
from tests.jobs.table_help import FakeDocker


def surroundings(docker, folder, ids):
    return around.surroundings(docker, ids, logs=f"{folder}/logs", volumes=f"{folder}/volumes")


def test_a_container_is_described_without_its_environment():
    found = containers.inspect(FakeDocker(["os-job-a"]), "os-job-a")
    assert "DATABASE_URL" not in json.dumps(found)
    assert (found["cpu_limit_cores"], found["memory_limit_bytes"]) == (0.5, 268435456)
    assert found["started_at"] == 1795546577
    assert found["finished_at"] == 0
    assert found["mount"] == ("volume", "os-volume-a")
    assert Container(**found).job_id == "a"


def test_a_cpu_quota_is_also_a_limit():
    docker = FakeDocker(["a"], HostConfig={"CpuQuota": 150000, "CpuPeriod": 100000})
    assert containers.inspect(docker, "a")["cpu_limit_cores"] == 1.5


def test_dockers_number_for_no_limit_does_not_hide_the_host():
    docker = FakeDocker(["a"], HostConfig={"CpuQuota": -1, "Memory": -1})
    found = msgspec.convert(containers.inspect(docker, "a"), Container)
    assert (found.cpu_limit_cores, found.memory_limit_bytes) == (0, 0)


@pytest.mark.parametrize("part", ["Config", "State", "HostConfig", "Mounts"])
def test_a_container_with_missing_data_is_listed(part):
    found = containers.inspect(FakeDocker(["a"], **{part: None}), "a")
    assert found["name"] == "a"


def test_docker_and_the_database_together_fit_into_the_time_of_the_client():
    docker_s = containers.DOCKER_TIMEOUT_S
    assert 2 * docker_s + BUSY_TIMEOUT_S < READ.timeout_s < 3 * docker_s


def test_containers_with_similar_names_are_left_out():
    found = containers.list_containers(FakeDocker(["os-job-a", "my-os-job-b"]))
    assert [item["name"] for item in found] == ["os-job-a"]


def test_a_job_has_a_volume_or_a_folder_and_its_newest_logs(tmp_path):
    for month in ("2026-10", "2026-11"):
        (tmp_path / "logs" / month / "os-job-a").mkdir(parents=True)
        (tmp_path / "logs" / month / "os-job-a" / "logs.txt").write_text(month)
    (tmp_path / "volumes" / "b").mkdir(parents=True)
    found = surroundings(FakeDocker(["os-job-a"]), tmp_path, ["a"])["a"]
    assert found["volume"] == ("volume", "os-volume-a")
    assert "2026-11" in found["logs"][0]["path"]
    assert found["logs"][0]["size_bytes"] == 7
    found = surroundings(FakeDocker(), tmp_path, ["b"])["b"]
    assert found["volume"] == ("bind", str(tmp_path / "volumes" / "b"))
    assert (found["container"], found["logs"]) == (None, [])


def test_a_log_file_with_an_odd_time_does_not_hide_the_host(tmp_path):
    folder = tmp_path / "logs" / "2026-11" / "os-job-a"
    folder.mkdir(parents=True)
    (folder / "logs.txt").touch()
    os.utime(folder / "logs.txt", (-86400, -86400))
    (found,) = around.log_files(str(tmp_path / "logs"), "a")
    assert msgspec.convert(found, LogFile).changed_at == 0


def test_log_files_that_cannot_be_read_do_not_hide_the_job(tmp_path, monkeypatch):
    folder = tmp_path / "logs/2026-11/os-job-a"
    folder.mkdir(parents=True)
    for name in ("good", "bad"):
        (folder / name).write_text("x")
    real = Path.stat

    def stat(self, **more):
        if self.name == "bad":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, **more)

    monkeypatch.setattr(Path, "stat", stat)
    (found,) = around.log_files(str(tmp_path / "logs"), "a")
    assert found["path"] == str(folder / "good")
    listdir = os.listdir

    def listed(place):
        if place == str(folder):
            raise PermissionError(13, "Permission denied", place)
        return listdir(place)

    monkeypatch.setattr(os, "listdir", listed)
    assert around.log_files(str(tmp_path / "logs"), "a") == []


def test_docker_is_not_asked_again_after_no_answer(tmp_path):
    questions = []

    def get(*path, **query):
        questions.append(path)
        raise EngineError("docker does not answer: timed out")

    found = surroundings(SimpleNamespace(get=get), tmp_path, ["a", "b", "c"])
    problem = "docker does not answer: timed out"
    assert [found[job]["docker_problem"] for job in "abc"] == [problem] * 3
    assert len(questions) == 1


class Odd(FakeDocker):
    """A docker that cannot describe one container; with the status 0 it does not answer."""

    status = 500

    def get(self, *path, **query):
        if path[1:2] == ("os-job-a",):
            raise EngineError("broken", self.status)
        return super().get(*path, **query)


def test_a_container_that_docker_cannot_describe_is_named_and_hides_no_other():
    docker = Odd(["os-job-a", "os-job-b"])
    odd, good = msgspec.convert(containers.list_containers(docker), list[Container])
    assert (odd.name, odd.state, odd.problem) == ("os-job-a", "unknown", "broken")
    assert (good.name, good.problem, good.memory_limit_bytes) == ("os-job-b", "", 268435456)
    docker.status = 0
    with pytest.raises(EngineError):
        containers.list_containers(docker)


def test_a_broken_container_does_not_hide_others(tmp_path):
    found = surroundings(Odd(["os-job-b"]), tmp_path, ["a", "b"])
    assert found["a"]["docker_problem"] == "broken"
    assert found["b"]["container"]["name"] == "os-job-b"


# -- the exit code in metadata.json ----------------------------------------------------------


def log_folder(folder, text):
    """A log folder of job a with a metadata.json."""
    logs = folder / "logs" / "2026-11" / "os-job-a"
    logs.mkdir(parents=True)
    (logs / "metadata.json").write_text(text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"exit_code": "1"}', 1),
        ('{"exit_code": 137}', 137),
        ('{"exit_code": -1}', -1),
        ('{"exit_code": null}', None),
        ('{"exit_code": 1e999}', None),
        ('{"exit_code": 99999999999}', None),
        ('{"exit_code": {}}', None),
        ("{}", None),
        ("[]", None),
        ("not json", None),
        ("[" * 5000, None),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), None),
    ],
)
def test_the_exit_code_is_read_from_the_record_of_the_job(tmp_path, text, code):
    log_folder(tmp_path, text)
    assert surroundings(FakeDocker(), tmp_path, ["a"])["a"]["exit_code"] == code


def test_a_record_that_is_too_large_is_not_read(tmp_path):
    log_folder(tmp_path, '{"exit_code": 1}' + " " * around.MAX_METADATA_BYTES)
    assert surroundings(FakeDocker(), tmp_path, ["a"])["a"]["exit_code"] is None


def test_a_job_without_a_record_has_no_exit_code(tmp_path):
    assert surroundings(FakeDocker(), tmp_path, ["a"])["a"]["exit_code"] is None
