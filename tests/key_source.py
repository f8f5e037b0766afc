"""An https key source with good, bad and incomplete answers."""

import contextlib
import datetime
import http.server
import ssl
import threading
import time

from tests.manage.manage_help import key


def certificate(folder):
    """A self-signed certificate for localhost."""
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


TWO_KEYS = f"{key(1)}\n{key(2)}\n".encode()
ONE_KEY = TWO_KEYS[: len(TWO_KEYS) // 2]
# Ends after the first of two keys, where the text is still a list of keys.
CUT = {
    "/cut.keys": [b"Content-Length: %d\r\n\r\n" % len(TWO_KEYS), ONE_KEY],
    "/endless.keys": [b"\r\n", ONE_KEY],
    "/chunk.keys": [
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(TWO_KEYS),
        ONE_KEY,
    ],
    "/lastchunk.keys": [
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(ONE_KEY),
        ONE_KEY + b"\r\n",
    ],
    "/noise.keys": [b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"],
    "/drip.keys": [b"Content-Length: 900\r\n\r\n", *[b"#\n"] * 8],
    "/chunked.keys": [
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(TWO_KEYS),
        TWO_KEYS + b"\r\n0\r\n\r\n",
    ],
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = self.path.partition("?")[0]
        if path in CUT:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for part in CUT[path]:
                self.wfile.write(part)
                if path == "/drip.keys":
                    time.sleep(0.1)
            return
        if path == "/away.keys":
            self.send_response(302)
            # Good keys, but over an unencrypted connection.
            self.send_header("Location", f"http://localhost:{self.server.plain_port}/good.keys")
            self.end_headers()
            return
        code, text = ANSWERS[path]
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folder):
    """Serve; yields the address, and the certificate to trust."""
    pem = certificate(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plain = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.plain_port = plain.server_port
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for each in (server, plain):
        threading.Thread(target=each.serve_forever, daemon=True).start()
    try:
        yield f"https://localhost:{server.server_port}", pem
    finally:
        for each in (server, plain):
            each.shutdown()
            each.server_close()
