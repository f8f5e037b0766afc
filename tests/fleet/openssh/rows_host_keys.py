"""Which host keys are accepted, refused, learned and asked for."""

from tests.fleet.openssh.row import Row

GOOD = "alpha <alpha:ed>\n"
OTHER = "alpha <beta:ed>\n"
SYSTEM = "/etc/ssh/ssh_known_hosts"
QUIET = "UpdateHostKeys no\n"
REVOKED_LINE = "@revoked * <alpha:ed>\n"

LINES = [
    Row("an unknown host", known="beta <beta:ed>\n"),
    Row("no known_hosts at all", known=""),
    Row("one line", known=GOOD),
    Row("a changed key", known=OTHER),
    Row("a changed key and the right one", known=OTHER + GOOD),
    Row("a known address for a typed name", known="<alpha> <alpha:ed>\n"),
    Row("a known name for a typed address", host="<alpha>", known=GOOD),
    Row("a pattern", known="al*,beta <alpha:ed>\n"),
    Row("a negated pattern", known="*,!alpha <alpha:ed>\n"),
    Row("a negated pattern beside a good line", known="*,!alpha <beta:ed>\n" + GOOD),
    Row("a name in capitals", known="ALPHA <alpha:ed>\n"),
    Row("typed in capitals", host="ALPHA", known=GOOD),
    Row("a hashed name", known="<hash:alpha> <alpha:ed>\n"),
    Row("a hashed name typed in capitals", host="ALPHA", known="<hash:alpha> <alpha:ed>\n"),
    Row("a hashed name of another host", known="<hash:beta> <alpha:ed>\n"),
    Row("another kind of key is known", known="alpha <alpha:rsa>\n"),
    Row("another kind of key is known and has changed", known="alpha <rsahost:rsa>\n"),
    Row(
        "one kind is right, another one has changed",
        known="alpha <alpha:ed>\nalpha <rsahost:rsa>\n",
    ),
    Row("only a kind that the server does not have", host="beta", known="beta <alpha:rsa>\n"),
    Row(
        "a server with RSA only and a changed ed25519 key",
        host="rsahost",
        known="rsahost <alpha:ed>\n",
    ),
    Row("a server with RSA only", host="rsahost", known="rsahost <rsahost:rsa>\n"),
    Row("a server that signs with rsa-sha2-256 only", host="rsa256"),
    Row("a server that signs with ssh-rsa only", host="sshrsa"),
    Row(
        "a server that signs with ssh-rsa only, allowed",
        host="sshrsa",
        config="HostKeyAlgorithms +ssh-rsa\n",
        refused_by_name="HostKeyAlgorithms",
    ),
    Row(
        "broken lines beside a good one",
        known="alpha ssh-ed25519 AAAA!!\nalpha\nalpha 12 34 56\nx\n\n#alpha\n" + GOOD,
    ),
    Row("broken lines alone", known="alpha ssh-ed25519 AAAA!!\nalpha ssh-ed25519\n"),
    Row("a line of another kind than its key", known="alpha ssh-rsa <bare:alpha>\n"),
    Row("known_hosts whose lines end with CR LF", known="alpha <alpha:ed>\r\n"),
    Row("spaces before and tabs between", known=" \talpha\t<alpha:ed>\t comment\n"),
    Row("known_hosts without a line end at the end", known="alpha <alpha:ed>"),
    Row("an unknown marker", known="@odd alpha <alpha:ed>\n"),
    Row("a marker after the name", known="alpha @revoked <alpha:ed>\n" + GOOD),
    Row("a very long line first", known="x" * 20000 + " <alpha:ed>\n" + GOOD),
]

PORTS = [
    Row("another port by its own name", host="root@alpha:2222", known="[alpha]:2222 <alpha:ed>\n"),
    Row("another port by the plain name", host="root@alpha:2222", known=GOOD),
    Row(
        "another port, and the plain name is another machine",
        host="root@alpha:2222",
        known="[alpha]:2222 <alpha:ed>\nalpha <beta:ed>\n",
    ),
    Row(
        "another port has changed and the plain name is right",
        host="root@alpha:2222",
        known="[alpha]:2222 <beta:ed>\nalpha <alpha:ed>\n",
    ),
    Row("another port, the plain name has changed", host="root@alpha:2222", known=OTHER),
    Row("port 22 and a line for another port", known="[alpha]:2222 <alpha:ed>\n"),
    Row("port 22 in brackets", known="[alpha]:22 <alpha:ed>\n"),
    Row("a pattern with a port", host="root@alpha:2222", known="[*]:2222 <alpha:ed>\n"),
    Row("a pattern for any port", host="root@alpha:2222", known="[alpha]:* <alpha:ed>\n"),
    Row("another port, hashed", host="root@alpha:2222", known="<hash:alpha.2222> <alpha:ed>\n"),
    Row(
        "another port, the plain name hashed",
        host="root@alpha:2222",
        known="<hash:alpha> <alpha:ed>\n",
    ),
    Row(
        "another port revoked",
        host="root@alpha:2222",
        known="[alpha]:2222 <alpha:ed>\n@revoked [alpha]:2222 <alpha:ed>\n",
    ),
    Row(
        "revoked under the plain name, typed with another port",
        host="root@alpha:2222",
        known="[alpha]:2222 <alpha:ed>\n@revoked alpha <alpha:ed>\n",
    ),
    Row("HostKeyAlias", known="thing <alpha:ed>\n", config="HostKeyAlias thing\n"),
    Row(
        "HostKeyAlias with another port",
        host="root@alpha:2222",
        known="thing <alpha:ed>\n",
        config="HostKeyAlias thing\n",
    ),
    Row("HostKeyAlias in capitals", known="thing <alpha:ed>\n", config="HostKeyAlias THING\n"),
    Row("HostKeyAlias and a line for the name", known=GOOD, config="HostKeyAlias thing\n"),
    Row("the name after HostName", host="x", known=GOOD, config="Host x\n  HostName alpha\n"),
    Row(
        "the name before HostName",
        host="x",
        known="x <alpha:ed>\n",
        config="Host x\n  HostName alpha\n",
    ),
]

REVOKED = [
    Row("revoked by a pattern", known=GOOD + REVOKED_LINE),
    Row("revoked without a good line", known=REVOKED_LINE),
    Row("revoked for another host", known=GOOD + "@revoked beta <alpha:ed>\n"),
    Row("another key of the host is revoked", known=GOOD + "@revoked alpha <alpha:rsa>\n"),
    Row(
        "the usual key is revoked and another kind is good",
        known="alpha <alpha:rsa>\n@revoked alpha <alpha:ed>\n",
    ),
    Row("revoked in the file of the system", known=GOOD, files={SYSTEM: REVOKED_LINE}),
    Row(
        "revoked in the second file of the system",
        known=GOOD,
        files={"/etc/ssh/ssh_known_hosts2": REVOKED_LINE},
    ),
    Row(
        "revoked in a GlobalKnownHostsFile",
        known=GOOD,
        files={"<tmp>/all": REVOKED_LINE},
        config="GlobalKnownHostsFile <tmp>/all\n",
    ),
    Row("revoked in ~/.ssh/known_hosts2", known=GOOD, files={"~/.ssh/known_hosts2": REVOKED_LINE}),
    Row("revoked beside a pin", known=REVOKED_LINE, settings={"host_keys": ["<alpha:ed>"]}),
    Row(
        "revoked in the file of the system, beside a pin",
        known="",
        files={SYSTEM: REVOKED_LINE, "<tmp>/pins": GOOD},
        settings={"host_keys": ["<alpha:ed>"]},
        ssh_flags=("-o", "UserKnownHostsFile=<tmp>/pins"),
    ),
    Row(
        "a pin",
        known="",
        settings={"host_keys": ["<alpha:ed>"]},
        files={"<tmp>/pins": GOOD},
        ssh_flags=("-o", "UserKnownHostsFile=<tmp>/pins"),
    ),
    Row(
        "a pin of another key",
        known=GOOD,
        settings={"host_keys": ["<beta:ed>"]},
        files={"<tmp>/pins": OTHER},
        ssh_flags=("-o", "UserKnownHostsFile=<tmp>/pins"),
    ),
    Row(
        "a pin of another kind",
        known="",
        settings={"host_keys": ["<alpha:rsa>"]},
        files={"<tmp>/pins": "alpha <alpha:rsa>\n"},
        ssh_flags=("-o", "UserKnownHostsFile=<tmp>/pins"),
    ),
    Row(
        "a pin and RevokedHostKeys",
        known="",
        settings={"host_keys": ["<alpha:ed>"]},
        files={"<tmp>/pins": GOOD, "<tmp>/revoked": "<alpha:ed>\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
        ssh_flags=("-o", "UserKnownHostsFile=<tmp>/pins"),
    ),
    Row(
        "RevokedHostKeys, a list",
        files={"<tmp>/revoked": "# gone\n<alpha:ed>\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
    ),
    Row(
        "RevokedHostKeys, a list of other keys",
        files={"<tmp>/revoked": "<beta:ed>\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
    ),
    Row(
        "RevokedHostKeys, a list with an invalid line",
        files={"<tmp>/revoked": "nonsense\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
    ),
    Row(
        "RevokedHostKeys, a list of fingerprints",
        files={"<tmp>/revoked": "hash: <hashof:alpha>\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
    ),
    Row("RevokedHostKeys, made by ssh-keygen -k", config="RevokedHostKeys <krl:alpha>\n"),
    Row("RevokedHostKeys, made by ssh-keygen -k for others", config="RevokedHostKeys <krl:beta>\n"),
    Row("RevokedHostKeys that is missing", config="RevokedHostKeys <tmp>/missing\n"),
    Row("RevokedHostKeys that is a folder", config="RevokedHostKeys <tmp>\n"),
    Row("RevokedHostKeys none", config="RevokedHostKeys none\n"),
    Row(
        "RevokedHostKeys of another host",
        files={"<tmp>/revoked": "<alpha:ed>\n"},
        config="Host beta\n  RevokedHostKeys <tmp>/revoked\n",
    ),
    Row(
        "RevokedHostKeys with ~ and quotes",
        files={"~/.ssh/my revoked": "<alpha:ed>\n"},
        config='RevokedHostKeys "~/.ssh/my revoked"\n',
        refused_by_name="RevokedHostKeys",
    ),
    Row(
        "revoked although StrictHostKeyChecking is no",
        known=REVOKED_LINE,
        config="StrictHostKeyChecking no\n",
        refused_by_name="StrictHostKeyChecking",
    ),
]

FILES = [
    Row("only the file of the system", known="", files={SYSTEM: GOOD}),
    Row("the file of the system has another key", known=GOOD, files={SYSTEM: OTHER}),
    Row(
        "UserKnownHostsFile",
        known="",
        files={"<tmp>/mine": GOOD},
        config="UserKnownHostsFile <tmp>/mine\n",
    ),
    Row(
        "UserKnownHostsFile replaces the usual one",
        files={"<tmp>/mine": "beta <beta:ed>\n"},
        config="UserKnownHostsFile <tmp>/mine\n",
    ),
    Row(
        "several UserKnownHostsFiles",
        known="",
        files={"<tmp>/a": "x <beta:ed>\n", "<tmp>/b": GOOD},
        config="UserKnownHostsFile <tmp>/a <tmp>/b\n",
    ),
    Row(
        "UserKnownHostsFile in quotes",
        known="",
        files={"<tmp>/my hosts": GOOD},
        config='UserKnownHostsFile "<tmp>/my hosts"\n',
    ),
    Row("UserKnownHostsFile none", config="UserKnownHostsFile none\n"),
    Row("UserKnownHostsFile /dev/null", config="UserKnownHostsFile /dev/null\n"),
    Row(
        "UserKnownHostsFile none and the file of the system",
        files={SYSTEM: GOOD},
        config="UserKnownHostsFile none\n",
    ),
    Row(
        "UserKnownHostsFile with tokens",
        known="",
        files={"~/.ssh/known-alpha-root": GOOD},
        config="UserKnownHostsFile %d/.ssh/known-%h-%r\n",
    ),
    Row(
        "UserKnownHostsFile with %k",
        known="",
        files={"~/.ssh/known-thing": "thing <alpha:ed>\n"},
        config="HostKeyAlias thing\nUserKnownHostsFile ~/.ssh/known-%k\n",
    ),
    Row(
        "UserKnownHostsFile with a variable",
        known="",
        files={"<tmp>/mine": GOOD},
        env={"MINE": "<tmp>/mine"},
        config="UserKnownHostsFile ${MINE}\n",
    ),
    Row("UserKnownHostsFile that is missing", config="UserKnownHostsFile <tmp>/missing\n"),
    Row(
        "GlobalKnownHostsFile",
        known="",
        files={"<tmp>/all": GOOD},
        config="GlobalKnownHostsFile <tmp>/all\n",
    ),
    Row(
        "GlobalKnownHostsFile replaces that of the system",
        known="",
        files={"<tmp>/all": "x <beta:ed>\n", SYSTEM: GOOD},
        config="GlobalKnownHostsFile <tmp>/all\n",
    ),
    Row(
        "GlobalKnownHostsFile none",
        known="",
        files={SYSTEM: GOOD},
        config="GlobalKnownHostsFile none\n",
    ),
    Row("known_hosts2", known="", files={"~/.ssh/known_hosts2": GOOD}),
    Row("known_hosts that others may write", known=GOOD, modes={"~/.ssh/known_hosts": 0o666}),
    Row(
        "KnownHostsCommand",
        known="",
        files={"<tmp>/keys": "#!/bin/sh\necho 'alpha <alpha:ed>'\n"},
        modes={"<tmp>/keys": 0o755},
        config="KnownHostsCommand <tmp>/keys %H\n",
        refused_by_name="KnownHostsCommand",
    ),
]

REVOKED_MORE = [
    Row(
        "revoked under HostKeyAlias",
        known="thing <alpha:ed>\n@revoked thing <alpha:ed>\n",
        config="HostKeyAlias thing\n",
    ),
    Row(
        "revoked under the name, with HostKeyAlias",
        known="thing <alpha:ed>\n@revoked alpha <alpha:ed>\n",
        config="HostKeyAlias thing\n",
    ),
    Row("revoked with a hashed name", known=GOOD + "@revoked <hash:alpha> <alpha:ed>\n"),
    Row("revoked under the address", known=GOOD + "@revoked <alpha> <alpha:ed>\n"),
    Row(
        "revoked under the address, with CheckHostIP",
        config="CheckHostIP yes\n",
        known=GOOD + "@revoked <alpha> <alpha:ed>\n",
        refused_by_name="CheckHostIP",
    ),
    Row(
        "revoked in known_hosts, which UserKnownHostsFile replaces",
        known=REVOKED_LINE,
        files={"<tmp>/mine": GOOD},
        config="UserKnownHostsFile <tmp>/mine\n",
    ),
    Row(
        "revoked and StrictHostKeyChecking accept-new",
        known=REVOKED_LINE,
        config="StrictHostKeyChecking accept-new\n",
    ),
    Row(
        "RevokedHostKeys and StrictHostKeyChecking no",
        files={"<tmp>/revoked": "<alpha:ed>\n"},
        config="RevokedHostKeys <tmp>/revoked\nStrictHostKeyChecking no\n",
    ),
    Row(
        "RevokedHostKeys behind a jump",
        files={"<tmp>/revoked": "<jump:ed>\n"},
        config="Host alpha\n ProxyJump jump\nHost *\n RevokedHostKeys <tmp>/revoked\n",
    ),
    Row(
        "RevokedHostKeys that is empty",
        files={"<tmp>/revoked": "\n"},
        config="RevokedHostKeys <tmp>/revoked\n",
    ),
    Row("known_hosts that is a folder", known="", files={"~/.ssh/known_hosts/x": "x"}),
    Row(
        "the first UserKnownHostsFile has another key",
        known="",
        files={"<tmp>/a": OTHER, "<tmp>/b": GOOD},
        config="UserKnownHostsFile <tmp>/a <tmp>/b\n",
    ),
]

ROWS = [*LINES, *PORTS, *REVOKED, *REVOKED_MORE, *FILES]
