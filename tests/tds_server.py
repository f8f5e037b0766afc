"""A small server that speaks TDS 7.4 as far as two queries need it. Standard library only.

Knows one login and a few tables; answers `LIKE` as SQL Server does. Clients' queries are kept in
`server.queries`. Run as a script it serves until it is stopped: tds_server.py PORT LOG
"""

import re
import socketserver
import struct
import sys
import threading
import time

USER, PASSWORD = "job runner", "p@ss/w0rd:#'x"
TEMP = {
    "#tmp_1" + "_" * 100 + "00000000A1": 1_234_567,
    "#tmp_12" + "_" * 100 + "00000000A2": 5,
    "#tmpX1" + "_" * 100 + "00000000A3": 9,
}
TABLES = {("OpenCORONATempTables", "", "DataExtract_ab"): 42}
COUNT = re.compile(
    r"SELECT COUNT_BIG\(\*\) AS row_count FROM \[(\w+)\]\.(?:\[(\w+)\])?\.\[(\w+)\] WITH \(NOLOCK\)"
)
ESTIMATE = re.compile(
    r"SELECT t\.name, SUM\(p\.rows\) AS row_count FROM tempdb\.sys\.tables t"
    r" JOIN tempdb\.sys\.partitions p ON t\.object_id = p\.object_id"
    r" WHERE p\.index_id IN \(0, 1\) AND t\.name LIKE N'([^']*)' GROUP BY t\.name ORDER BY t\.name"
)


def short(text):
    return bytes([len(text)]) + text.encode("utf-16-le")


def long(text):
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")


def done(count=0):
    return struct.pack("<BHHQ", 0xFD, 0x10 if count else 0, 0, count)


def error(number, text):
    body = struct.pack("<IBB", number, 1, 16) + long(text) + short("srv") + short("")
    body += struct.pack("<I", 1)
    return b"\xaa" + struct.pack("<H", len(body)) + body + struct.pack("<BHHQ", 0xFD, 2, 0, 0)


def table(columns, rows):
    """A result of text and number columns."""
    text = b"\x81" + struct.pack("<H", len(columns))
    for name, kind in columns:
        info = b"\xe7\x00\x02\x09\x04\xd0\x00\x34" if kind is str else b"\x26\x08"
        text += struct.pack("<IH", 0, 8) + info + short(name)
    for row in rows:
        text += b"\xd1"
        for value in row:
            if isinstance(value, str):
                data = value.encode("utf-16-le")
                text += struct.pack("<H", len(data)) + data
            else:
                text += b"\x08" + struct.pack("<q", value)
    return text + done(len(rows))


def like(pattern, text):
    """SQL Server's LIKE: % any text, _ any letter, [...] one of these."""
    parts = re.findall(r"\[[^\]]*\]|.", pattern)
    plain = {"%": ".*", "_": "."}
    made = (p if len(p) > 1 else plain.get(p, re.escape(p)) for p in parts)
    return re.fullmatch("".join(made), text, re.IGNORECASE | re.DOTALL)


def answer(query):
    if match := COUNT.fullmatch(query):
        key = (match[1], match[2] or "", match[3])
        if key not in TABLES:
            return error(208, f"Invalid object name '{match[3]}' for {USER}.")
        return table([("row_count", int)], [(TABLES[key],)])
    if match := ESTIMATE.fullmatch(query):
        rows = [item for item in sorted(TEMP.items()) if like(match[1], item[0])]
        return table([("name", str), ("row_count", int)], rows)
    return error(102, "Incorrect syntax")


class Handler(socketserver.BaseRequestHandler):
    def receive(self):
        kind, data, last = 0, b"", False
        while not last:
            head = self.exactly(8)
            kind, status, length = struct.unpack(">BBH", head[:4])
            data += self.exactly(length - 8)
            last = bool(status & 1)
        return kind, data

    def exactly(self, count):
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def send_without_end(self, pause_s):
        """The header of a result, then rows until the client is gone."""
        data = table([("row_count", int)], [(1,)])[: -len(done())]
        while True:
            self.request.sendall(struct.pack(">BBHHBB", 4, 0, len(data) + 8, 0, 1, 0) + data)
            time.sleep(pause_s)
            data = (b"\xd1\x08" + bytes(8)) * (1 if pause_s else 400)

    def send(self, data):
        pieces = [data[n : n + 4000] for n in range(0, len(data), 4000)] or [b""]
        for number, piece in enumerate(pieces, 1):
            status = 1 if number == len(pieces) else 0
            head = struct.pack(">BBHHBB", 4, status, len(piece) + 8, 0, number % 256, 0)
            self.request.sendall(head + piece)

    def handle(self):
        try:
            while True:
                kind, data = self.receive()
                if kind == 0x12:
                    self.prelogin()
                elif kind == 0x10:
                    self.login(data)
                elif kind == 1:
                    self.query(data)
        except (EOFError, OSError):
            pass

    def prelogin(self):
        encryption = getattr(self.server, "encryption", 2)
        head = struct.pack(">BHHBHHB", 0, 11, 6, 1, 17, 1, 0xFF)
        self.send(head + struct.pack(">IH", 0x10000000, 0) + bytes([encryption]))

    def login(self, data):
        def field(place):
            start, count = struct.unpack_from("<HH", data, place)
            return data[start : start + 2 * count]

        hidden = bytes(((b ^ 0xA5) << 4 | (b ^ 0xA5) >> 4) & 255 for b in field(44))
        user, password = field(40).decode("utf-16-le"), hidden.decode("utf-16-le")
        self.server.logins.append((user, field(48).decode("utf-16-le")))
        if (user, password) != (USER, PASSWORD):
            self.send(error(18456, f"Login failed for user '{user}'."))
            return
        ack = struct.pack(">BI", 1, 0x74000004) + short("tds_server") + bytes(4)
        reply = b"\xad" + struct.pack("<H", len(ack)) + ack
        change = b"\x01" + short(field(68).decode("utf-16-le")) + short("master")
        reply += b"\xe3" + struct.pack("<H", len(change)) + change
        if self.server.reroute:
            host, port = self.server.reroute
            value = struct.pack("<BH", 0, port) + long(host)
            value = struct.pack("<H", len(value)) + value + struct.pack("<H", 0)
            reply += b"\xe3" + struct.pack("<HB", len(value) + 1, 20) + value
        self.send(reply + done())

    def query(self, data):
        (headers,) = struct.unpack_from("<I", data)
        text = data[headers:].decode("utf-16-le")
        self.server.log(text)
        time.sleep(self.server.delay_s)
        if self.server.pause_s is not None:
            self.send_without_end(self.server.pause_s)
        self.send(answer(text))


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port=0, path=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.queries, self.logins, self.path = [], [], path
        self.delay_s, self.encryption, self.reroute = 0, 2, None
        self.pause_s = None

    @property
    def port(self):
        return self.server_address[1]

    def log(self, text):
        self.queries.append(text)
        if self.path:
            with open(self.path, "a") as file:
                file.write(text + "\n")

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    Server(int(sys.argv[1]), sys.argv[2]).serve_forever()
