"""Our own docker engine behind a unix socket, which behaves like several versions.

It knows images, containers and a pull, and refuses API versions as a real one does. `log` holds
the version, method and path of each request.
"""

import http.server
import json
import re
import socketserver
import threading
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

REGISTRY = "ghcr.io/opensafely-core"
PROXY = "proxy.example:5000/core"
NEW_DIGEST, OLD_DIGEST = "sha256:" + "a" * 64, "sha256:" + "b" * 64
NEW_ID, OLD_ID = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@dataclass(frozen=True)
class Release:
    """A release of docker: the API versions that it takes, oldest and newest."""

    name: str
    oldest: tuple[int, int]
    newest: tuple[int, int]

    @property
    def api(self):
        return f"{self.newest[0]}.{self.newest[1]}"


DOCKER_20 = Release("20.10", (1, 12), (1, 41))
DOCKER_28 = Release("28", (1, 24), (1, 48))
DOCKER_29 = Release("29", (1, 44), (1, 52))
RELEASES = (DOCKER_20, DOCKER_28, DOCKER_29)


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """The parts of Docker that our programs use: names, digests, containers, a pull."""

    daemon_threads = True

    def __init__(self, path, root, release=DOCKER_20):
        super().__init__(str(path), _Handler)
        self.path, self.root, self.release = str(path), str(root), release
        self.log = []
        self.raw_paths = []
        self.tags = {f"{REGISTRY}/ehrql:v1": OLD_ID}
        self.digests = {
            OLD_ID: [f"{PROXY}/ehrql@{OLD_DIGEST}"],
            NEW_ID: [f"{PROXY}/ehrql@{NEW_DIGEST}"],
        }
        self.containers = []
        # Other answers to some paths, as status and document.
        self.answers = {}
        self.pull = [
            {"status": "Pulling from core/ehrql", "id": NEW_DIGEST},
            {"status": "Already exists", "progressDetail": {}, "id": "l1"},
            {"status": "Downloading", "progressDetail": {"current": 5, "total": 10}, "id": "l2"},
            {"status": "Download complete", "progressDetail": {}, "id": "l2"},
            {"status": "Pull complete", "progressDetail": {}, "id": "l2"},
            {"status": f"Digest: {NEW_DIGEST}"},
        ]

    def start(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def requests(self, method):
        """The paths that were asked for with a method."""
        return [path for _, asked, path in self.log if asked == method]

    def break_pull(self, words):
        """Make the pull end with an error after its first layer, in this release's form."""
        old = {} if self.release.newest >= (1, 52) else {"error": words}
        self.pull[3:] = [{**old, "errorDetail": {"message": words}}]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "local"

    def answer(self):
        url = urlsplit(self.path)
        path = unquote(url.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        found = re.fullmatch(r"/v(\d+)\.(\d+)(/.*)", path)
        version = (int(found[1]), int(found[2])) if found else None
        path = found[3] if found else path
        engine = self.server
        engine.log.append((version, self.command, path))
        engine.raw_paths.append(url.path)
        release = engine.release
        if version and version < release.oldest:
            oldest = ".".join(map(str, release.oldest))
            self.refuse(f"client version {found[1]}.{found[2]} is too old.", "Minimum", oldest)
        elif version and version > release.newest:
            self.refuse(f"client version {found[1]}.{found[2]} is too new.", "Maximum", release.api)
        elif path in engine.answers:
            status, value = engine.answers[path]
            self.reply(value, status)
        else:
            self.known(path, query)

    def known(self, path, query):
        engine = self.server
        if path == "/_ping":
            self.reply(b"OK")
        elif path == "/info":
            self.reply({"DockerRootDir": engine.root})
        elif path == "/containers/json":
            self.reply(engine.containers)
        elif path == "/images/json":
            self.reply([self.listed(id) for id in engine.digests])
        elif path.startswith("/distribution/"):
            self.reply({"Descriptor": {"digest": NEW_DIGEST}})
        elif path == "/images/create":
            assert query == {"fromImage": f"{PROXY}/ehrql", "tag": NEW_DIGEST}
            self.reply(b"".join(json.dumps(line).encode() + b"\r\n" for line in engine.pull))
        elif self.command == "DELETE":
            engine.digests.pop(path.removeprefix("/images/"), None)
            self.reply([])
        elif path.endswith("/tag"):
            engine.tags[f"{query['repo']}:{query['tag']}"] = path.split("/")[2]
            self.reply(b"", 201)
        elif path.startswith("/images/"):
            self.image(path.removeprefix("/images/").removesuffix("/json"))
        else:
            self.reply({"message": "page not found"}, 404)

    def image(self, name):
        engine = self.server
        id = engine.tags.get(name, name)
        id = next((i for i, names in engine.digests.items() if name in names), id)
        if id in engine.digests:
            self.reply(self.described(id))
        else:
            self.reply({"message": f"No such image: {name}"}, 404)

    def described(self, id):
        tags = [tag for tag, owner in self.server.tags.items() if owner == id]
        return {"Id": id, "RepoTags": tags, "RepoDigests": self.server.digests[id]}

    def listed(self, id):
        """An image as a list of images has it; older engines write more, and odd names."""
        found = {**self.described(id), "Created": 1_800_000_000, "Size": 3 << 20, "Containers": -1}
        if self.server.release.newest < (1, 44):
            found["VirtualSize"] = found["Size"]
            found["RepoTags"] = found["RepoTags"] or ["<none>:<none>"]
        return found

    def refuse(self, words, which, version):
        text = f"{words} {which} supported API version is {version}"
        self.reply({"message": text}, 400)

    def reply(self, value, status=200):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Api-Version", self.server.release.api)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_DELETE = answer  # noqa: N815
