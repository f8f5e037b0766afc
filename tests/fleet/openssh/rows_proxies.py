"""Jump hosts and proxy commands: which way a connection goes, and how it fails."""

from tests.fleet.openssh.row import Row

JUMP = "Host alpha\n  ProxyJump jump\n"
NETCAT = "<tmp>/netcat"
# A proxy without further packages: standard input and output joined to an address.
PROXY = r"""#!/usr/bin/env python3
import os, socket, sys, threading
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
except OSError as error:
    sys.exit(f"((netcat: {error.strerror}))")
def copy():
    try:
        while data := os.read(0, 65536):
            s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except OSError:
        pass
threading.Thread(target=copy, daemon=True).start()
while data := s.recv(65536):
    os.write(1, data)
"""
LOUD = f"#!/bin/sh\necho '((hello))' >&2\nexec {NETCAT} \"$@\"\n"
CHECK = f"#!/bin/sh\ntest $1 = x-alpha-22-carol-% && exec {NETCAT} $2 $3\n"


def proxied(name: str, command: str, **more: object) -> Row:
    """A row with this ProxyCommand; `<tmp>/netcat` is a proxy that works."""
    config = f"{more.pop('before', '')}ProxyCommand {command}\n"
    files = {NETCAT: PROXY, **more.pop("files", {})}
    modes = dict.fromkeys([*files], 0o755)
    return Row(name, config=config, files=files, modes=modes, **more)


JUMPS = [
    Row("ProxyJump", config=JUMP),
    Row("ProxyJump none for all", config="Host *\n  ProxyJump none\n"),
    Row("ProxyJump none before *", config="Host alpha\n ProxyJump none\nHost *\n ProxyJump jump\n"),
    Row(
        "ProxyJump none after a jump",
        config="Host alpha\n ProxyJump jump\nHost *\n ProxyJump none\n",
    ),
    Row(
        "ProxyJump for all but the jump host",
        config="Host jump\n ProxyJump none\nHost *\n ProxyJump jump\n",
    ),
    Row("ProxyJump with user and port", config="Host alpha\n  ProxyJump carol@beta:2222\n"),
    Row("ProxyJump as a URL", config="Host alpha\n  ProxyJump ssh://carol@beta:2222\n"),
    Row("two jumps", config="Host alpha\n  ProxyJump carol@beta:2222,jump\n"),
    Row(
        "a jump through a jump", config="Host alpha\n ProxyJump jump\nHost jump\n ProxyJump leap\n"
    ),
    Row("the jump host has a user", config=JUMP + "Host jump\n  User carol\n"),
    Row(
        "the jump host has another name",
        config="Host alpha\n  ProxyJump door\nHost door\n  HostName jump\n  User dave\n",
    ),
    Row(
        "the host's own user does not apply to the jump host",
        config="Host alpha\n  ProxyJump jump\n  User carol\n",
    ),
    Row(
        "the jump host has its own key",
        keys="a=ed b=rsa",
        config=JUMP + "  IdentityFile ~/.ssh/a\nHost jump\n  IdentityFile ~/.ssh/b\n",
    ),
    Row(
        "-i does not apply to the jump host",
        keys="id_ed25519=ed other=rsa",
        config=JUMP,
        identity="~/.ssh/other",
    ),
    Row(
        "IdentitiesOnly of the jump host",
        keys="id_ed25519=ed",
        agent="s1.rsa",
        config=JUMP + "Host jump\n  IdentitiesOnly yes\n",
    ),
    Row("the jump host is unknown", config=JUMP, known="alpha <alpha:ed>\n"),
    Row("the jump host has changed", config=JUMP, known="alpha <alpha:ed>\njump <beta:ed>\n"),
    Row(
        "the jump host is revoked",
        config=JUMP,
        files={"/etc/ssh/ssh_known_hosts": "@revoked * <jump:ed>\n"},
    ),
    Row(
        "the jump host does not know us",
        keys="a=ed b=s1",
        config="Host alpha\n ProxyJump jump\n"
        "IdentityFile ~/.ssh/a\nHost jump\n IdentityFile ~/.ssh/b\n",
    ),
    Row("the host behind the jump is unknown", config=JUMP, known="jump <jump:ed>\n"),
    Row(
        "the host behind the jump has changed",
        config=JUMP,
        known="jump <jump:ed>\nalpha <beta:ed>\n",
    ),
    Row(
        "the host behind the jump does not know us",
        keys="a=s1 b=ed",
        config=JUMP + "  IdentityFile ~/.ssh/a\nHost jump\n  IdentityFile ~/.ssh/b\n",
    ),
    Row("the jump host does not forward", config="Host alpha\n  ProxyJump stuck\n"),
    Row("the jump host's name has no address", config="Host alpha\n  ProxyJump gone.invalid\n"),
    Row("the jump host has no listener", config="Host alpha\n  ProxyJump jump:2223\n"),
    Row("the host behind the jump has no listener", host="root@alpha:2223", config=JUMP),
    Row(
        "the name is known at the jump host only",
        host="inner",
        known="inner <alpha:ed>\njump <jump:ed>\n",
        config="Host inner\n  HostName alpha.localhost\n  ProxyJump jump\n  HostKeyAlias inner\n",
    ),
    Row(
        "an unknown name, behind a jump",
        host="none.invalid",
        config="Host none.invalid\n ProxyJump jump\n",
    ),
    Row(
        "ProxyJump before ProxyCommand",
        config="Host alpha\n  ProxyJump jump\n  ProxyCommand echo ((never)) >&2\n",
    ),
    Row(
        "ProxyCommand before ProxyJump",
        config="Host alpha\n  ProxyCommand echo '((first))' >&2\n  ProxyJump jump\n",
    ),
    Row(
        "ProxyJump in the file of -F",
        ssh_config="<tmp>/own",
        files={"<tmp>/own": JUMP + "Host jump\n  User carol\n"},
    ),
    Row("ProxyJump with nonsense", config="Host alpha\n  ProxyJump a@b@:x\n"),
    Row("a jump to itself", config="ProxyJump alpha\n"),
    Row("ForwardAgent through a jump", keys="", agent="ed", config=JUMP + "  ForwardAgent yes\n"),
    Row(
        "the jump host has a ProxyCommand",
        files={NETCAT: PROXY},
        modes={NETCAT: 0o755},
        config=JUMP + f"Host jump\n  ProxyCommand {NETCAT} %h %p\n",
    ),
    Row(
        "a server with two keys behind a jump",
        host="two",
        keys="id_ed25519=ed id_rsa=rsa",
        config="Host two\n  ProxyJump jump\n",
    ),
    Row(
        "StrictHostKeyChecking of the host does not apply to the jump host",
        config=JUMP + "  StrictHostKeyChecking no\n",
        known="alpha <alpha:ed>\n",
    ),
    Row("gateway of hosts.yaml", settings={"gateway": "jump"}, ssh_flags=("-J", "jump")),
    Row(
        "gateway of hosts.yaml with lines of ssh_config",
        settings={"gateway": "jump"},
        ssh_flags=("-J", "jump"),
        config="Host jump\n  User carol\n  Port 22\n",
    ),
    Row(
        "gateway of hosts.yaml and ProxyJump",
        settings={"gateway": "jump"},
        ssh_flags=("-J", "jump"),
        config="Host alpha\n  ProxyJump leap\n",
    ),
    Row(
        "gateway of hosts.yaml which has its own jump",
        settings={"gateway": "jump"},
        ssh_flags=("-J", "jump"),
        config="Host jump\n  ProxyJump leap\n",
    ),
    Row(
        "gateway of hosts.yaml whose name has no address",
        settings={"gateway": "gone.invalid"},
        ssh_flags=("-J", "gone.invalid"),
    ),
    Row(
        "gateway of hosts.yaml that does not forward",
        settings={"gateway": "stuck"},
        ssh_flags=("-J", "stuck"),
    ),
]

JUMPS_MORE = [
    Row("user typed, and a jump", host="carol@alpha", config=JUMP),
    Row("the jump host says something and refuses us", config="Host alpha\n  ProxyJump allow\n"),
    Row("the jump host is down for repairs", config="Host alpha\n  ProxyJump carol@nologin\n"),
    Row("the jump host closes at once", config="Host alpha\n  ProxyJump closes\n"),
    Row("the jump host is silent", config="ConnectTimeout 2\nHost alpha\n  ProxyJump silent\n"),
    Row(
        "the jump host has another alias",
        config=JUMP + "Host jump\n  HostKeyAlias thing\n",
        known="alpha <alpha:ed>\nthing <jump:ed>\n",
    ),
    Row(
        "the jump host has a certificate",
        config="Host alpha\n  ProxyJump hostcert\n",
        known="alpha <alpha:ed>\n@cert-authority hostcert <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row("the jump host has old ciphers", config="Host alpha\n  ProxyJump cbc\n"),
    Row(
        "IdentityAgent none for the jump host",
        keys="id_ed25519=s1",
        agent="ed",
        config=JUMP + "Host jump\n  IdentityAgent none\n",
    ),
    Row(
        "the jump host takes four keys, the agent has six",
        config="Host alpha\n  ProxyJump tries4\n",
        keys="",
        agent="s1.s2.s3.s4.s5.ed",
    ),
    Row(
        "gateway of hosts.yaml with user and port",
        settings={"gateway": "carol@beta:2222"},
        ssh_flags=("-J", "carol@beta:2222"),
    ),
]

COMMANDS = [
    proxied("ProxyCommand", f"{NETCAT} %h %p"),
    proxied("ProxyCommand to another address", f"{NETCAT} beta 2222", known="alpha <beta:ed>\n"),
    proxied(
        "ProxyCommand with all tokens",
        "<tmp>/check %n-%h-%p-%r-%% %h %p",
        host="x",
        known="alpha <alpha:ed>\n",
        before="Host x\n  HostName alpha\n  User carol\n",
        files={"<tmp>/check": CHECK},
    ),
    proxied("ProxyCommand with exec", f"exec {NETCAT} %h %p"),
    proxied("ProxyCommand with a pipe", f"{NETCAT} %h %p | cat"),
    proxied("ProxyCommand with quoted words", f"sh -c '{NETCAT} %h \"$0\"' %p"),
    proxied("ProxyCommand with a variable of the shell", f"p=%p; {NETCAT} %h $p"),
    proxied(
        "ProxyCommand that runs ssh -W",
        "ssh -W %h:%p jump",
        before="Host jump\n  ProxyCommand none\nHost *\n  ",
    ),
    proxied("ProxyCommand none", "none"),
    proxied(
        "ProxyCommand none before *", "none\nHost *\n  ProxyCommand false", before="Host alpha\n  "
    ),
    proxied("ProxyCommand that fails with words", "echo '((vpn is down))' >&2; exit 1"),
    proxied(
        "ProxyCommand that fails with words of two lines",
        "printf '((one))\\n((two))\\n' >&2; exit 1",
    ),
    proxied("ProxyCommand that fails without words", "exit 1"),
    proxied("ProxyCommand that is missing", "<tmp>/missing %h %p"),
    proxied("ProxyCommand that ends well at once", "true"),
    proxied("ProxyCommand that is killed", "kill -9 $$"),
    proxied("ProxyCommand that hangs", "sleep 30", before="ConnectTimeout 2\n"),
    proxied("ProxyCommand that prints nonsense", "echo '((not an ssh server))'; sleep 1"),
    proxied("ProxyCommand to a port without a listener", f"{NETCAT} %h 2223 2>/dev/null"),
    proxied("ProxyCommand with an unknown token", f"{NETCAT} %Z %p"),
    proxied(
        "ProxyCommand and words beside a login", "<tmp>/loud %h %p", files={"<tmp>/loud": LOUD}
    ),
    proxied(
        "ProxyCommand with words, and the server refuses us",
        "<tmp>/loud %h %p",
        files={"<tmp>/loud": LOUD},
        keys="id_ed25519=s1",
    ),
    proxied("ProxyCommand and a changed key", f"{NETCAT} %h %p", known="alpha <beta:ed>\n"),
    proxied(
        "ProxyCommand and CheckHostIP",
        f"{NETCAT} %h %p",
        before="CheckHostIP yes\n",
        known="alpha <alpha:ed>\n<alpha> <beta:ed>\n",
    ),
    proxied(
        "ProxyCommand for a name without an address",
        f"{NETCAT} alpha %p",
        host="unheard.of",
        known="unheard.of <alpha:ed>\n",
    ),
    proxied(
        "ProxyUseFdpass",
        f"{NETCAT} %h %p",
        before="ProxyUseFdpass yes\n",
        refused_by_name="ProxyUseFdpass",
    ),
    proxied(
        "ProxyCommand in a shell that $SHELL names", f"{NETCAT} %h %p", env={"SHELL": "/bin/bash"}
    ),
]

ROWS = [*JUMPS, *JUMPS_MORE, *COMMANDS]
