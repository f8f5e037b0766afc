"""opstasks: the `Host` of task authors, on the first host of an inventory.

Called with an inventory and a count.
"""

import sys
from pathlib import Path

from opstasks.core.command import cmd
from opstasks.fleet.host import Host
from opstasks.fleet.host_settings import load
from opstasks.fleet.ssh import SSHTransport

spec, *_ = load(Path(sys.argv[1])).select(["many"])
host = Host(spec, connect=SSHTransport)
for _ in range(int(sys.argv[2])):
    print(host.name, host.login.output(cmd("uptime")).strip(), flush=True)
host.close()
