"""Public keys: what is no key is never taken for one, wherever it comes from."""

import datetime
import http.server
import ssl
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstasks.manage import keys, keysource
from tests.unit.manage_help import key


def test_keys_are_parsed_without_comments_and_repetition():
    found = keys.parse(f"# mine\n\n{key(1)} laptop\n{key(2)}\n{key(1)} again\n")
    assert [f"{k.kind} {k.blob}" for k in found] == [key(1), key(2)]


@pytest.mark.parametrize(
    "line",
    [
        "<html>",
        "Not Found",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        key().replace("ssh-ed25519 ", "ssh-rsa "),
        key()[:-8],
        f'command="/bin/sh" {key()}',
        f"ssh-dss {key().split()[1]}",
    ],
)
def test_what_is_no_key_is_refused_with_its_line(line):
    with pytest.raises(keys.NotAKey, match="line 2"):
        keys.parse(f"{key()}\n{line}\n")


@given(st.text(max_size=200))
def test_rendering_what_was_parsed_gives_the_same_keys_and_one_a_line(text):
    try:
        found = keys.parse(text)
    except keys.NotAKey:
        return
    assert keys.parse(keys.render("ada", found)) == found


@given(st.lists(st.integers(0, 255), max_size=5))
def test_rendered_keys_parse_to_themselves(seeds):
    found = keys.parse("\n".join(key(seed) for seed in seeds))
    assert keys.parse(keys.render("ada", found)) == found


# -- over https ----------------------------------------------------------------------------------


def certificate(folder):
    """A certificate for localhost, by nobody."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(private, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    path = folder / "server.pem"
    path.write_bytes(
        private.private_bytes(form, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(form)
    )
    return path


ANSWERS = {
    "/good.keys": (200, f"{key(1)}\n{key(2)}\n"),
    "/page.keys": (200, "<!DOCTYPE html><title>Sign in</title>"),
    "/empty.keys": (200, ""),
    "/missing.keys": (404, f"{key(3)}\n"),
    "/long.keys": (200, f"{key(1)}\n" * 2000),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/away.keys":
            self.send_response(302)
            # Good keys, but over a line that anybody can write on.
            self.send_header("Location", f"http://localhost:{self.server.plain_port}/good.keys")
            self.end_headers()
            return
        code, text = ANSWERS[self.path]
        self.send_response(code)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    pem = certificate(tmp_path_factory.mktemp("tls"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.plain_port = plain.server_port
    threading.Thread(target=plain.serve_forever, daemon=True).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(pem))
        patch.setenv("no_proxy", "localhost")
        yield f"https://localhost:{server.server_port}/{{name}}.keys"
    server.shutdown()
    plain.shutdown()


def test_a_source_that_answers_with_keys_gives_them(source):
    assert keysource.fetch(source, ["good"])["good"] == keys.parse(f"{key(1)}\n{key(2)}\n")


@pytest.mark.parametrize("name", ["page", "empty", "missing", "long", "away"])
def test_any_other_answer_is_a_reason_and_no_keys(source, name):
    assert isinstance(keysource.fetch(source, [name])[name], str)


def test_a_source_that_is_not_trusted_gives_no_keys(source, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in str(keysource.fetch(source, ["good"])["good"]).lower()
