"""Host keys that are new, learned, chosen by algorithm, or certified by an authority."""

from tests.fleet.openssh.row import Row

GOOD = "alpha <alpha:ed>\n"
OTHER = "alpha <beta:ed>\n"
QUIET = "UpdateHostKeys no\n"

CHECKING = [
    Row("StrictHostKeyChecking yes and unknown", known="", config="StrictHostKeyChecking yes\n"),
    Row("StrictHostKeyChecking ask and unknown", known="", config="StrictHostKeyChecking ask\n"),
    Row(
        "StrictHostKeyChecking accept-new and unknown",
        known="",
        learns=True,
        config=QUIET + "StrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking accept-new and changed",
        known=OTHER,
        learns=True,
        config=QUIET + "StrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking accept-new and another port",
        host="root@alpha:2222",
        known="",
        learns=True,
        config=QUIET + "StrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking accept-new and hashed names",
        known="",
        learns=True,
        config=QUIET + "HashKnownHosts yes\nStrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking accept-new in another file",
        known="",
        learns=True,
        files={"<tmp>/mine": "beta <beta:ed>\n"},
        config=QUIET + "UserKnownHostsFile <tmp>/mine\nStrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking no and unknown",
        known="",
        learns=True,
        config=QUIET + "StrictHostKeyChecking no\n",
        refused_by_name="StrictHostKeyChecking",
    ),
    Row(
        "StrictHostKeyChecking off and unknown",
        known="",
        learns=True,
        config=QUIET + "StrictHostKeyChecking off\n",
        refused_by_name="StrictHostKeyChecking",
    ),
    Row(
        "StrictHostKeyChecking no and changed",
        known=OTHER,
        learns=True,
        config=QUIET + "StrictHostKeyChecking no\n",
        refused_by_name="StrictHostKeyChecking",
    ),
    Row(
        "CheckHostIP and a changed address",
        known=GOOD + "<alpha> <beta:ed>\n",
        config="CheckHostIP yes\n",
    ),
    Row(
        "CheckHostIP and an unknown address",
        known=GOOD,
        config=QUIET + "CheckHostIP yes\n",
    ),
    Row(
        "NoHostAuthenticationForLocalhost elsewhere",
        known="",
        config="NoHostAuthenticationForLocalhost yes\n",
    ),
    Row("VerifyHostKeyDNS without DNS", config="VerifyHostKeyDNS yes\n"),
    Row("VerifyHostKeyDNS without DNS and unknown", known="", config="VerifyHostKeyDNS yes\n"),
    Row(
        "HostKeyAlgorithms chooses RSA",
        config="HostKeyAlgorithms rsa-sha2-512\n",
        known="alpha <alpha:ed>\nalpha <beta:ed>\n",
    ),
    Row("HostKeyAlgorithms chooses RSA, which is known", config="HostKeyAlgorithms rsa-sha2-512\n"),
    Row(
        "HostKeyAlgorithms with a caret",
        config="HostKeyAlgorithms ^ecdsa-sha2-nistp256\n",
        known="alpha <alpha:ecdsa>\nalpha <beta:ed>\n",
    ),
    Row("HostKeyAlgorithms with a minus", config="HostKeyAlgorithms -ssh-ed25519\n"),
    Row(
        "HostKeyAlgorithms that the server does not have",
        host="beta",
        config="HostKeyAlgorithms ecdsa-sha2-nistp256\n",
    ),
    Row("HostKeyAlgorithms with nonsense", config="HostKeyAlgorithms nonsense\n"),
    Row(
        "UpdateHostKeys",
        known=GOOD,
        config="UpdateHostKeys yes\n",
    ),
]

AUTHORITIES = [
    Row(
        "a host certificate",
        host="hostcert",
        known="@cert-authority hostcert <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate for a pattern",
        host="hostcert",
        known="@cert-authority *cert <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate of another authority",
        host="otherca",
        known="@cert-authority * <authority:hostca>\n",
    ),
    Row(
        "a host certificate for another name",
        host="wrongcert",
        known="@cert-authority * <authority:hostca>\n",
    ),
    Row(
        "a host certificate and a known plain key",
        host="hostcert",
        known="hostcert <hostcert:ed>\n",
    ),
    Row(
        "an authority and a server without a certificate",
        known="@cert-authority * <authority:hostca>\n",
    ),
    Row(
        "an authority, and the plain key of a server without a certificate",
        known="@cert-authority * <authority:hostca>\n" + GOOD,
    ),
    Row(
        "a revoked authority",
        host="hostcert",
        known="@cert-authority * <authority:hostca>\n@revoked * <authority:hostca>\n",
    ),
]

CHECKING_MORE = [
    Row(
        "host_key_checking accept-new of hosts.yaml",
        known="",
        learns=True,
        config=QUIET,
        settings={"host_key_checking": "accept-new"},
        ssh_flags=("-o", "StrictHostKeyChecking=accept-new"),
    ),
    Row(
        "StrictHostKeyChecking accept-new in the first of two files",
        known="",
        learns=True,
        config=QUIET + "UserKnownHostsFile ~/.ssh/known_hosts ~/.ssh/second\n"
        "StrictHostKeyChecking accept-new\n",
    ),
    Row(
        "StrictHostKeyChecking accept-new with HostKeyAlias",
        host="root@alpha:2222",
        known="",
        learns=True,
        config=QUIET + "HostKeyAlias thing\nStrictHostKeyChecking accept-new\n",
    ),
    Row("StrictHostKeyChecking with nonsense", config="StrictHostKeyChecking maybe\n"),
    Row("RequiredRSASize and the host's key", host="rsahost", config="RequiredRSASize 3072\n"),
]

AUTHORITIES_MORE = [
    Row(
        "a host certificate at another port",
        host="root@hostcert:2222",
        known="@cert-authority hostcert <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate with HostKeyAlias",
        host="anycert",
        config="HostKeyAlias thing\n",
        known="@cert-authority thing <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate of the past",
        host="oldcert",
        known="@cert-authority * <authority:hostca>\n",
    ),
    Row(
        "a host certificate of the past and a known plain key",
        host="oldcert",
        known="@cert-authority * <authority:hostca>\noldcert <oldcert:ed>\n",
    ),
    Row(
        "a host certificate for any name",
        host="anycert",
        known="@cert-authority * <authority:hostca>\n",
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate whose plain key is revoked",
        host="hostcert",
        known="@cert-authority * <authority:hostca>\n@revoked * <hostcert:ed>\n",
    ),
    Row(
        "a host certificate whose authority is in RevokedHostKeys",
        host="hostcert",
        known="@cert-authority * <authority:hostca>\n",
        config="RevokedHostKeys <tmp>/revoked\n",
        files={"<tmp>/revoked": "<authority:hostca>\n"},
        refused_by_name="certificates",
    ),
    Row(
        "a host certificate whose plain key is in RevokedHostKeys",
        host="hostcert",
        known="@cert-authority * <authority:hostca>\n",
        config="RevokedHostKeys <tmp>/revoked\n",
        files={"<tmp>/revoked": "<hostcert:ed>\n"},
    ),
    Row(
        "CASignatureAlgorithms",
        host="hostcert",
        config="CASignatureAlgorithms rsa-sha2-512\n",
        known="@cert-authority * <authority:hostca>\n",
    ),
    Row(
        "HostKeyAlgorithms without certificates",
        host="hostcert",
        config="HostKeyAlgorithms -*cert*\n",
        known="hostcert <hostcert:ed>\n",
    ),
]

ROWS = [*CHECKING, *CHECKING_MORE, *AUTHORITIES, *AUTHORITIES_MORE]
