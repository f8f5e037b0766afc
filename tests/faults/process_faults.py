"""Faults of processes and connections, and of the whole host."""

import signal
import time

from tests.faults.fault import KILLED, NEVER_KNOWN, Fault


def kill_client(pair):
    """SIGKILL for the client and its whole group; the host goes on for a moment."""
    pair.client.signal(signal.SIGKILL)
    time.sleep(0.3)


def interrupt(pair):
    """Ctrl-C once."""
    pair.client.signal(signal.SIGINT)
    time.sleep(0.5)


def interrupt_twice(pair):
    """Ctrl-C twice."""
    interrupt(pair)
    interrupt(pair)


# Shell text: the ancestors of $1, each as "pid name".
ANCESTORS = (
    'p=$1; while [ "$p" -gt 1 ]; do echo "$p $(cat /proc/$p/comm)";'
    " p=$(awk '/^PPid/ {print $2}' /proc/$p/status); done"
)


def kill_ancestor(*names):
    """A fault: SIGKILL for the nearest ancestor of the step with one of these names."""

    def act(pair):
        wanted = " || ".join(f'$2 == "{name}"' for name in names)
        pick = f"set -- {pair.hit.parent}; {ANCESTORS}"
        pair.machine.run(f"kill -KILL $( ({pick}) | awk '{wanted} {{print $1; exit}}')")

    return act


def kill_timeout(pair):
    """SIGKILL for the step's `timeout`: the client sees an end, and the step goes on alone."""
    kill_ancestor("timeout")(pair)
    time.sleep(2)


def kill_step(pair):
    """SIGKILL for the stopped program itself."""
    pair.machine.run(f"kill -KILL {pair.hit.pid}")


def kill_children(pair):
    """SIGKILL for the children of the stopped program, again and again for a second."""
    again = f"for i in $(seq 20); do pkill -KILL -P {pair.hit.pid}; sleep 0.05; done"
    pair.machine.run(again)


def kill_all_of_the_step(pair):
    """SIGKILL for the program and its `timeout` at once."""
    pair.machine.run(f"kill -KILL {pair.hit.parent} {pair.hit.pid}")


SSHD = "pgrep -f '^sshd: (ops|dev)'"


def reset_connection(pair):
    """The sshd of the session dies: the connection is gone, the steps go on."""
    pair.machine.run(f"kill -KILL $({SSHD})")


DROP = "iptables -{} INPUT -p tcp --dport 22 -j DROP"


def stall(pair):
    """No packet reaches sshd any more, longer than the heartbeat."""
    pair.machine.run(DROP.format("I"))
    pair.release()
    time.sleep(75)


def unstall(pair):
    """Packets pass again."""
    pair.machine.run(DROP.format("D"))


def power_cut(pair):
    """The host loses power; it is switched on again after three seconds."""
    pair.machine.power_cut()
    time.sleep(3)
    pair.machine.power_on()


def reboot(pair):
    """An orderly reboot that somebody else orders; waits until the host is back."""
    pair.release()
    pair.machine.reboot()


BOOT, DOWN = frozenset({"boot"}), "connection|boot|went down|going down|stopping"
PROCESSES = [
    Fault("client killed", kill_client, codes=KILLED),
    Fault("ctrl-c", interrupt, codes=frozenset({0, 1, 130})),
    Fault("ctrl-c twice", interrupt_twice, codes=frozenset({0, 1, 130})),
    Fault("step killed", kill_step, codes=NEVER_KNOWN, cause="137|[Kk]illed|signal|9"),
    Fault("children killed", kill_children, codes=NEVER_KNOWN),
    Fault("program killed", kill_ancestor("python3"), codes=NEVER_KNOWN),
    Fault("timeout killed", kill_timeout, codes=NEVER_KNOWN),
    Fault("step and timeout killed", kill_all_of_the_step, codes=NEVER_KNOWN),
    Fault("framed shell killed", kill_ancestor("bash"), codes=NEVER_KNOWN),
    Fault("sudo killed", kill_ancestor("sudo"), codes=NEVER_KNOWN),
    Fault("connection reset", reset_connection, codes=NEVER_KNOWN, cause="connection|answer"),
    Fault("connection stalled", stall, unstall, codes=NEVER_KNOWN, cause="connection|answer"),
    Fault("power cut", power_cut, codes=NEVER_KNOWN, cause=DOWN, spoils=True, touches=BOOT),
    Fault("reboot", reboot, codes=NEVER_KNOWN, cause=DOWN, spoils=True, touches=BOOT),
]
