"""Servers that are old, broken, closed or strict, and what the person is told."""

from tests.fleet.openssh.row import Row

ALGORITHMS = [
    Row("CBC ciphers only", host="cbc"),
    Row("MD5 and 96-bit MACs only", host="md5"),
    Row("SHA-1 key exchange only", host="sha1kex"),
    Row(
        "SHA-1 key exchange, allowed",
        host="sha1kex",
        config="KexAlgorithms +diffie-hellman-group14-sha1\n",
        refused_by_name="KexAlgorithms",
    ),
    Row(
        "CBC ciphers, allowed",
        host="cbc",
        config="Ciphers +aes128-cbc\n",
        refused_by_name="Ciphers",
    ),
    Row("AES-CTR and an encrypt-then-MAC only", host="ctr"),
    Row("HMAC-SHA1 only", host="sha1mac"),
    Row("ECDH with a NIST curve only", host="nistkex"),
    Row(
        "Ciphers that the server does not have",
        host="ctr",
        config="Ciphers aes128-gcm@openssh.com\n",
    ),
    Row("Ciphers with a caret", config="Ciphers ^aes256-ctr\n"),
    Row("Ciphers with a minus", host="ctr", config="Ciphers -aes256-ctr\n"),
    Row("Ciphers with a pattern", config="Ciphers -aes*\n", refused_by_name="Ciphers"),
    Row("one cipher", config="Ciphers aes256-gcm@openssh.com\n"),
    Row("one MAC", config="Ciphers aes128-ctr\nMACs hmac-sha2-256\n"),
    Row("MACs that the server does not have", host="sha1mac", config="MACs hmac-sha2-256\n"),
    Row("one key exchange", config="KexAlgorithms curve25519-sha256\n"),
    Row(
        "one key exchange that the server does not have",
        host="nistkex",
        config="KexAlgorithms curve25519-sha256\n",
    ),
    Row("Ciphers with nonsense", config="Ciphers nonsense\n"),
    Row("Compression", config="Compression yes\n"),
    Row("RekeyLimit", config="RekeyLimit 1M 1h\n"),
]

WORDS = [
    Row("a banner", host="bannered"),
    Row("a banner before a refusal", host="bannered", keys="id_ed25519=s1"),
    Row("AllowUsers, with a banner", host="allow"),
    Row("AllowUsers, allowed", host="allow", config="User carol\n"),
    Row("root may not log in", host="noroot"),
    Row("nologin", host="nologin", config="User carol\n"),
    Row("nologin does not apply to root", host="nologin"),
    Row("an expired account", host="expired", config="User eve\n"),
    Row("an expired account without PAM", host="alpha", config="User eve\n"),
    Row("a stranger", keys="id_ed25519=s1"),
    Row("LogLevel QUIET", host="alpha", keys="id_ed25519=s1", config="LogLevel QUIET\n"),
]

BEYOND = [
    Row("ChaCha20 only", host="chacha", lacks="chacha20-poly1305@openssh.com"),
    Row("UMAC only", host="umac", lacks="umac-64@openssh.com"),
    Row("a key exchange of sntrup761 only", host="sntrup", lacks="sntrup761x25519-sha512"),
]

NETWORK = [
    Row("ConnectionAttempts 0", config="ConnectionAttempts 0\n"),
    Row("ConnectTimeout with nonsense", config="ConnectTimeout soon\n"),
    Row("a server that closes at once", host="closes"),
    Row("a server that says something and closes", host="talks"),
    Row("a server with too many logins", host="busy"),
    Row("a server that closes after its version", host="hangsup"),
    Row("a server that speaks version 1", host="ancient"),
    Row("a silent server", host="silent", config="ConnectTimeout 2\n"),
    Row("an address without a machine", host="nowhere", config="ConnectTimeout 1\n"),
    Row("an address without a machine, without a limit", host="nowhere"),
    Row("ConnectionAttempts", host="alpha", config="ConnectionAttempts 2\nPort 2223\n"),
    Row("ConnectTimeout 0", config="ConnectTimeout 0\n"),
    Row("ConnectTimeout none", config="ConnectTimeout none\n"),
    Row("ConnectTimeout with a unit", config="ConnectTimeout 1m\n"),
]

SESSIONS = [
    Row("RemoteCommand", config="RemoteCommand none\n"),
    Row("RequestTTY", config="RequestTTY no\n"),
    Row("SetEnv and SendEnv", config="SetEnv A=b\nSendEnv LANG\n"),
    Row("ForwardAgent", keys="", agent="ed", config="ForwardAgent yes\n"),
    Row("LocalForward", config="LocalForward 127.0.0.1:23999 alpha:22\n"),
    Row("ServerAliveInterval", config="ServerAliveInterval 5\nServerAliveCountMax 2\n"),
    Row("ControlMaster without a master", config="ControlMaster no\nControlPath ~/.ssh/c-%C\n"),
    Row(
        "EscapeChar and others that matter to a terminal",
        config="EscapeChar none\nVisualHostKey no\nTunnel no\nForwardX11 no\n",
    ),
    Row("LocalCommand", config="PermitLocalCommand no\nLocalCommand exit 3\n"),
    Row("GSSAPIAuthentication", config="GSSAPIAuthentication yes\nHostbasedAuthentication no\n"),
    Row("BatchMode", config="BatchMode yes\nNumberOfPasswordPrompts 1\n"),
    Row("PKCS11Provider", config="PKCS11Provider /nowhere.so\n", refused_by_name="PKCS11Provider"),
    Row("SecurityKeyProvider", config="SecurityKeyProvider internal\n"),
    Row("AddKeysToAgent", agent="", config="AddKeysToAgent no\n"),
    Row("IPQoS and TCPKeepAlive", config="IPQoS lowdelay throughput\nTCPKeepAlive no\n"),
]

ROWS = [*ALGORITHMS, *BEYOND, *WORDS, *NETWORK, *SESSIONS]
