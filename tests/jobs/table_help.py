"""Rows for job-runner's table, and a fake docker with the answers of a test."""

import warnings

from hypothesis import strategies as st

from opstasks.onhost.engine import EngineError
from tests.jobs.jobs_help import HOSTILE_TEXTS


def add(connection, id, workspace="ws", action="act", state="running", created_at=1, **more):
    """Insert a job; other columns by name."""
    row = {"id": id, "workspace": workspace, "action": action, "state": state}
    row |= {"created_at": created_at, "run_command": "python:v1 python x", **more}
    marks = ", ".join("?" * len(row))
    names = ", ".join(row)
    connection.execute(f"INSERT INTO job ({names}) VALUES ({marks})", list(row.values()))


def ids(rows):
    return [row["id"] for row in rows]


def hostile_names():
    """More than 500 words: curated ones, all pairs of these, and generated ones."""
    names = [*HOSTILE_TEXTS, *(f"{a}{b}" for a in HOSTILE_TEXTS for b in HOSTILE_TEXTS)]
    made = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that `example` is for interactive use
        names += [made.example().replace("\0", "0") for _ in range(60)]
    return list(dict.fromkeys(names))


class FakeDocker:
    """Containers by name, two volumes; `over` replaces parts of each container."""

    def __init__(self, names=(), **over):
        self.names, self.over = names, over

    def get(self, *path, **query):
        if path[-1] == "json" and len(path) == 2:
            return [{"Names": [f"/{name}"]} for name in self.names]
        if path == ("volumes",):
            return {"Volumes": [{"Name": "os-volume-a"}, {"Name": "os-volume-ab"}]}
        if path[1] not in self.names:
            raise EngineError("no such container", 404)
        return {
            "Image": "sha256:1",
            "Config": {"Image": "reg/python:v1", "Env": ["DATABASE_URL=mssql://u:p@h"]},
            "State": {
                "Status": "running",
                "StartedAt": "2026-11-24T18:56:17.120296212Z",
                "FinishedAt": "0001-01-01T00:00:00Z",
            },
            "HostConfig": {"NanoCpus": 500000000, "Memory": 268435456},
            "Mounts": [{"Type": "volume", "Name": "os-volume-a", "Destination": "/workspace"}],
            **self.over,
        }
