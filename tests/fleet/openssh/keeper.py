"""Runs on the sandbox host: one lane's ssh servers, and what they logged.

Standard input: one line of JSON with the servers, then `reset` or `read` lines. `read` answers with
the log of every server. The end of the input ends the servers.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path


def listen(address, behave):
    """A server that is not sshd: `behave` gets each connection."""
    server = socket.create_server((address, 22))

    def serve():
        while True:
            connection, _ = server.accept()
            threading.Thread(target=behave, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def close_at_once(connection):
    connection.close()


def say_and_close(connection):
    connection.sendall(b"((go away))\r\n")
    connection.close()


def exceed(connection):
    connection.sendall(b"Exceeded MaxStartups\r\n")
    connection.close()


def never_speak(connection):
    time.sleep(120)


def hang_up_after_banner(connection):
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.recv(100)
    connection.close()


def speak_old(connection):
    connection.sendall(b"SSH-1.5-old\r\n")
    connection.recv(100)
    connection.close()


RUDE = {
    "closes": close_at_once,
    "talks": say_and_close,
    "busy": exceed,
    "silent": never_speak,
    "hangsup": hang_up_after_banner,
    "ancient": speak_old,
}


def own_hosts_file(text):
    """Names resolve to this lane's addresses: we are in our own mount namespace."""
    path = Path(f"/run/table-hosts-{os.getpid()}")
    path.write_text(text)
    path.chmod(0o644)
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", str(path), "/etc/hosts"], check=True)


def start(folder, servers):
    started = []
    for name, server in servers.items():
        subprocess.run(["ip", "address", "add", server["place"], "dev", "eth0"], check=False)
        if name in RUDE:
            listen(server["address"], RUDE[name])
        elif server["config"]:
            config = folder / f"{name}.conf"
            config.write_text(server["config"])
            argv = [server["program"], "-D", "-f", str(config), "-E", str(folder / f"{name}.log")]
            started.append(subprocess.Popen(argv, stdin=subprocess.DEVNULL))
    for name, server in servers.items():
        if server["config"]:
            wait_for(server["address"], folder / f"{name}.log")
    return started


def wait_for(address, log):
    """Wait until the server answers, and has logged all about this check."""
    for _ in range(400):
        try:
            socket.create_connection((address, 22), timeout=2).close()
            break
        except OSError:
            time.sleep(0.05)
    for _ in range(400):
        if re.search("Connection (closed|reset) by|kex_exchange", log.read_text()):
            return
        time.sleep(0.05)
    raise SystemExit(f"{address} does not answer: {log.read_text()}")


END = re.compile(
    r"^(Connection (closed|reset) by|Disconnect(ed|ing)|Received disconnect|Unable to negotiate"
    r"|Access denied|banner exchange|kex_exchange|fatal|Timeout|error:|Bad protocol)",
    re.M,
)


def settled(logs):
    """The logs when each server has written its last line: it logs after it answers."""
    for _ in range(75):
        texts = {name: path.read_text() for name, path in logs.items()}
        visits = [one for text in texts.values() for one in text.split("Connection from ")[1:]]
        if all(END.search(visit) for visit in visits):
            break
        time.sleep(0.02)
    return texts


def main():
    plan = json.loads(sys.stdin.readline())
    folder = Path(plan["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    own_hosts_file(plan["hosts"])
    started = start(folder, plan["servers"])
    print("ready", flush=True)
    for line in sys.stdin:
        logs = {path.stem: path for path in folder.glob("*.log")}
        if line.strip() == "reset":
            for path in logs.values():
                os.truncate(path, 0)
            print("done", flush=True)
        else:
            print(json.dumps(settled(logs)), flush=True)
    for process in started:
        process.terminate()
    for server in plan["servers"].values():
        subprocess.run(["ip", "address", "del", server["place"], "dev", "eth0"], check=False)


main()
