"""ssh_config: which lines count, and what they say about name, address, user and port."""

from tests.fleet.openssh.row import Row

INCLUDES = [
    Row("nothing at all"),
    Row("Include in ~/.ssh", config="Include more\n", files={"~/.ssh/more": "User carol\n"}),
    Row(
        "Include with a pattern, in the order of names",
        config="Include conf.d/*\n",
        files={"~/.ssh/conf.d/b": "User dave\n", "~/.ssh/conf.d/a": "User carol\n"},
    ),
    Row(
        "ProxyJump in an included file",
        config="Include conf.d/*.conf\n",
        files={"~/.ssh/conf.d/a.conf": "Host alpha\n  ProxyJump jump\n"},
    ),
    Row(
        "Include inside a Host block counts for that host only",
        config="Host beta\n  Include more\nHost *\n  User dave\n",
        files={"~/.ssh/more": "User carol\n"},
    ),
    Row(
        "Host lines of a file that a Host block includes",
        host="alpha",
        config="Host alpha\n  Include more\n  User carol\n",
        files={"~/.ssh/more": "Host beta\n  User dave\n"},
    ),
    Row(
        "Include of an Include",
        config="Include one\n",
        files={"~/.ssh/one": "Include two\n", "~/.ssh/two": "Host alpha\n  User carol\n"},
    ),
    Row("Include of a missing file", config="Include nothing/*\nUser carol\n"),
    Row(
        "Include of several files, absolute and with ~",
        config="Include <tmp>/a ~/.ssh/b\n",
        files={"<tmp>/a": "Host beta\n User dave\n", "~/.ssh/b": "User carol\n"},
    ),
    Row(
        "Include in /etc/ssh/ssh_config",
        files={
            "/etc/ssh/ssh_config": "Include ssh_config.d/*.conf\nHost *\n  User dave\n",
            "/etc/ssh/ssh_config.d/a.conf": "Host alpha\n  User carol\n",
        },
    ),
    Row("An Include that includes itself", config="Include config\n"),
    Row(
        "A bad line in an included file",
        config="Include more\n",
        files={"~/.ssh/more": "User carol\nUsr dave\n"},
    ),
    Row("/etc/ssh/ssh_config alone", files={"/etc/ssh/ssh_config": "User carol\nPort 2222\n"}),
    Row(
        "the person's file before that of the system",
        config="User carol\n",
        files={"/etc/ssh/ssh_config": "User dave\nPort 2222\n"},
    ),
    Row(
        "a file of -F replaces both",
        config="User carol\n",
        ssh_config="<tmp>/own",
        files={"/etc/ssh/ssh_config": "Port 2222\n", "<tmp>/own": "User dave\n"},
    ),
    Row(
        "Include in a file of -F is relative to ~/.ssh",
        ssh_config="<tmp>/own",
        files={"<tmp>/own": "Include more\n", "~/.ssh/more": "User carol\n"},
    ),
]

MATCHES = [
    Row("the first value counts", config="Host al*\n User carol\nHost alpha\n User dave\n"),
    Row("a negated Host", config="Host !alpha *\n  User carol\nHost *\n  User dave\n"),
    Row("a negated Host alone matches nothing", config="Host !beta\n  User carol\n"),
    Row("Host with several patterns", config="Host beta a?pha\n  User carol\n"),
    Row("Host with a comma", config="Host beta,alpha\n  User carol\n"),
    Row("Host in capitals", host="ALPHA", config="Host alpha\n  User carol\n"),
    Row("a Host line in capitals", config="HOST ALPHA\n  USER carol\n"),
    Row("Match all", config="Match all\n  User carol\n"),
    Row(
        "Match host sees HostName",
        host="x",
        config="Host x\n HostName alpha\nMatch host alpha\n User carol\n",
    ),
    Row(
        "Match originalhost",
        host="x",
        config="Host x\n HostName alpha\n"
        "Match originalhost alpha\n User carol\nMatch originalhost x\n User dave\n",
    ),
    Row("Match user", config="User carol\nMatch user carol\n  Port 2222\n"),
    Row(
        "Match user is the name on the command line",
        host="carol@alpha",
        config="Match user carol\n  ProxyJump jump\n",
    ),
    Row(
        "Match user of hosts.yaml",
        settings={"user": "carol"},
        ssh_flags=("-l", "carol"),
        config="Match user carol\n  ProxyJump jump\n",
    ),
    Row("Match localuser", config="Match localuser root\n User carol\n"),
    Row("Match exec", config='Match exec "test %h = alpha"\n User carol\n'),
    Row("Match exec that fails", config='Match exec "exit 1"\n User carol\n'),
    Row(
        "Match exec with %p and %r",
        host="dave@alpha:2222",
        config='Match exec "test %p-%r-%n = 2222-dave-alpha"\n ProxyJump jump\n',
    ),
    Row("Match negated", config="Match !host beta\n  User carol\n"),
    Row("Match with a list", config="Match host beta,al* user root\n  Port 2222\n"),
    Row("Match final", config="Match final host alpha\n  User carol\n"),
    Row(
        "Match final sees what later lines set",
        config="Match final user carol\n  Port 2222\nHost *\n  User carol\n",
    ),
    Row("Match canonical", config="Match canonical\n  User carol\n"),
    Row(
        "CanonicalizeHostname",
        host="alpha",
        config="CanonicalizeHostname yes\n"
        "CanonicalDomains example.test\nHost *.example.test\n  User carol\n",
    ),
    Row(
        "CanonicalizeHostname and Match canonical",
        config="CanonicalizeHostname yes\n"
        "CanonicalDomains none.test example.test\nMatch canonical host *.test\n  User carol\n",
    ),
    Row(
        "CanonicalizeHostname with no such name",
        host="nobody",
        config="CanonicalizeHostname yes\nCanonicalDomains example.test\n"
        "CanonicalizeFallbackLocal no\n",
    ),
    Row(
        "CanonicalizeHostname with a fallback",
        host="alpha",
        config="CanonicalizeHostname yes\nCanonicalDomains none.test\n",
    ),
    Row(
        "CanonicalizeMaxDots",
        host="alpha.example",
        config="CanonicalizeHostname yes\n"
        "CanonicalDomains test\nCanonicalizeMaxDots 1\nHost *.test\n  User carol\n",
    ),
    Row("Match of an unknown kind", config="Match nonsense x\n  User carol\n"),
    Row("Match without a value", config="Match host\n  User carol\n"),
    Row("Match tagged is newer than this ssh", config="Match tagged x\n  User carol\n"),
    Row(
        "Match localnetwork is newer than this ssh",
        config="Match localnetwork 10.0.0.0/8\n  User carol\n",
    ),
]

LINES = [
    Row("a keyword that is newer than this ssh", config="ObscureKeystrokeTiming no\n"),
    Row("a port by the name of its service", config="Port ssh\n"),
    Row("port 0", config="Port 0\n"),
    Row("the equals sign", config="Host=alpha\nUser = carol\nPort=2222\n"),
    Row("quoted values", config='Host "alpha"\n  User "carol"\n  Port "2222"\n'),
    Row("a comment after a value", config="User carol # that one\n"),
    Row("a comment after a quoted value", config='User "carol" # that one\nPort 2222 #two\n'),
    Row("a comment after a Host line", config="Host alpha # beta\n  User carol\n"),
    Row("a # inside a value", config="User carol#x\n"),
    Row("tabs and spaces", config="\tHost\t \talpha\n\t\tUser\tcarol\t \n"),
    Row("lines that end with CR LF", config="Host alpha\r\n  User carol\r\n  Port 2222\r\n"),
    Row("capitals in keywords", config="hOST alpha\n  uSER carol\n  pORT 2222\n"),
    Row("no line end at the end", config="User carol"),
    Row("empty lines and comments", config="\n  # a comment\n#User dave\n\nUser carol\n"),
    Row("an unknown keyword", config="Host beta\n  Colour red\n"),
    Row("IgnoreUnknown", config="IgnoreUnknown Col*\nColour red\nUser carol\n"),
    Row("IgnoreUnknown too late", config="Colour red\nIgnoreUnknown Col*\nUser carol\n"),
    Row("a port that is not a number", config="Host alpha\n  Port many\n"),
    Row("a port that is too large", config="Port 70000\n"),
    Row("a keyword without a value", config="Host alpha\n  User\n"),
    Row("too many values", config="Host alpha\n  Port 22 23\n"),
    Row("a quote that does not end", config='User "carol\n'),
    Row("yes or no as another word", config="Compression perhaps\n"),
    Row("an obsolete keyword", config="Protocol 2\nUser carol\n"),
    Row("an obsolete keyword of ssh 1", config="RSAAuthentication yes\nUser carol\n"),
    Row("a file that others may write", config="User carol\n", modes={"~/.ssh/config": 0o666}),
    Row("a file that others may read", config="User carol\n", modes={"~/.ssh/config": 0o644}),
    Row(
        "a file of -F that others may write",
        ssh_config="<tmp>/own",
        files={"<tmp>/own": "User carol\n"},
        modes={"<tmp>/own": 0o666},
    ),
    Row("a byte that is not UTF-8", config="# \udce9t\udce9\nUser carol\n"),
    Row("a mark of byte order", config="\ufeffUser carol\n"),
    Row("a bad value of a host that is not meant", config="Host beta\n  Port many\n"),
]

SIX = "<six:alpha>"
KNOWN_SIX = f"[localhost]:{SIX} <alpha:ed>\n"
IPV6 = [
    Row("an IPv6 address with a port", host=f"root@[::1]:{SIX}", known=f"[::1]:{SIX} <alpha:ed>\n"),
    Row("an IPv6 address with a port, unknown", host=f"root@[::1]:{SIX}"),
    Row(
        "HostName with an IPv6 address",
        host="x",
        known=f"[::1]:{SIX} <alpha:ed>\n",
        config=f"Host x\n  HostName ::1\n  Port {SIX}\n",
    ),
    Row(
        "a name with two addresses, of which the second answers",
        host="localhost",
        known=KNOWN_SIX,
        config=f"Port {SIX}\n",
    ),
    Row(
        "AddressFamily inet, and only the IPv6 address answers",
        host="localhost",
        known=KNOWN_SIX,
        config=f"AddressFamily inet\nPort {SIX}\n",
    ),
    Row(
        "AddressFamily inet6 and two addresses",
        host="localhost",
        known=KNOWN_SIX,
        config=f"AddressFamily inet6\nPort {SIX}\n",
    ),
    Row(
        "NoHostAuthenticationForLocalhost",
        host="localhost",
        known="",
        config=f"NoHostAuthenticationForLocalhost yes\nPort {SIX}\n",
        refused_by_name="NoHostAuthenticationForLocalhost",
    ),
    Row(
        "NoHostAuthenticationForLocalhost and a changed key",
        host="localhost",
        known=f"[localhost]:{SIX} <beta:ed>\n",
        config=f"NoHostAuthenticationForLocalhost yes\nPort {SIX}\n",
        refused_by_name="NoHostAuthenticationForLocalhost",
    ),
]

PLACES = [
    Row("a pattern for addresses", host="<alpha>", config="Host 172.*.1 10.*\n  User carol\n"),
    Row("HostName with %h", host="alpha", config="HostName %h.example.test\n"),
    Row("HostName with an address", host="x", config="Host x\n  HostName <alpha>\n"),
    Row("HostName with capitals", host="x", config="Host x\n  HostName ALPHA\n"),
    Row("HostName with %%", host="x", config="Host x\n  HostName alpha%%x\n"),
    Row("HostName twice", host="x", config="Host x\n  HostName alpha\n  HostName beta\n"),
    Row("an address", host="<alpha>"),
    Row("an address with its own Host line", host="<alpha>", config="Host <alpha>\n User carol\n"),
    Row("user and port typed", host="dave@alpha:2222", config="Host *\n  User carol\n  Port 22\n"),
    Row("User and Port", config="Host alpha\n  User carol\n  Port 2222\n"),
    Row(
        "port of hosts.yaml",
        settings={"port": 2222},
        ssh_flags=("-p", "2222"),
        config="Port 22\nUser carol\n",
    ),
    Row(
        "user of hosts.yaml",
        settings={"user": "dave"},
        ssh_flags=("-l", "dave"),
        config="User carol\n",
    ),
    Row("a user that does not exist", config="User nobody_here\n"),
    Row("a user with an odd name", config="User odd.name-x\n"),
    Row("a name without an address", host="nowhere.invalid"),
    Row("a HostName without an address", host="x", config="Host x\n  HostName y.invalid\n"),
    Row("a port without a listener", config="Port 2223\n"),
    Row("AddressFamily inet", config="AddressFamily inet\n"),
    Row("AddressFamily inet6 and no such address", config="AddressFamily inet6\n"),
    Row("AddressFamily inet6 and an IPv4 address", host="<alpha>", config="AddressFamily inet6\n"),
    Row("an IPv6 address without a listener", host="root@[::1]:2299"),
    Row("localhost as IPv6 only", host="localhost", config="AddressFamily inet6\nPort 2299\n"),
    Row("BindAddress that is not ours", config="BindAddress 192.0.2.1\n"),
    Row("BindAddress of another interface", config="BindAddress 127.0.0.1\nConnectTimeout 2\n"),
    Row(
        "BindInterface that does not exist",
        config="BindInterface none9\n",
        refused_by_name="BindInterface",
    ),
    Row("a name with a dot at the end", host="alpha.", config="Host alpha.\n  User carol\n"),
    Row(
        "Hostname of a name that is also a pattern",
        host="a-1",
        config="Host a-*\n  HostName alpha\nHost a-1\n  User carol\n",
    ),
]

ROWS = [*INCLUDES, *MATCHES, *LINES, *IPV6, *PLACES]
