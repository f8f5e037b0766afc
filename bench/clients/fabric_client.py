"""Fabric: `ThreadingGroup`, which starts a thread for each host; known host keys only."""

import json
import sys
from pathlib import Path

import fabric
import paramiko
from fabric.exceptions import GroupException

settings = json.loads(Path(sys.argv[1]).read_text())
# Group returns when all hosts have ended; a worker prints each answer earlier.
names = {(host["address"], host["port"]): host["name"] for host in settings["hosts"]}


class Connection(fabric.Connection):
    """A connection that refuses unknown host keys, and prints each answer as it arrives."""

    def open(self) -> object:
        """Connect."""
        self.client.load_host_keys(settings["known_hosts"])
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        return super().open()

    def run(self, command: str, **kwargs: object) -> object:
        """Run a command."""
        done = super().run(command, hide=True, **kwargs)
        # One write: threads must not mix their lines.
        sys.stdout.write(f"{names[self.host, self.port]} {done.stdout.strip()}\n")
        sys.stdout.flush()
        return done


group = fabric.ThreadingGroup.from_connections(
    Connection(
        host["address"],
        port=host["port"],
        user=settings["user"],
        connect_timeout=settings["connect_timeout_s"],
        connect_kwargs={
            "key_filename": settings["key"],
            "look_for_keys": False,
            "allow_agent": False,
            "banner_timeout": settings["connect_timeout_s"],
        },
    )
    for host in settings["hosts"]
)
for _ in range(int(sys.argv[2])):
    try:
        group.run("uptime")
    except GroupException as failed:
        for connection, error in failed.result.failed.items():
            print(names[connection.host, connection.port], error, file=sys.stderr)
group.close()
