"""Trees of files with hostile names for the tests of outputs."""

import hashlib
import os
from pathlib import Path

from hypothesis import strategies as st

from opstasks.onhost.protocol import HostFailure
from opstasks.outputs.onhost import remove
from opstasks.outputs.onhost.facts import facts_at
from opstasks.outputs.onhost.records import read_records

# Bytes that a file name may contain, hostile ones first: for the shell, a terminal, rsync.
HOSTILE = (
    *("\n", "'", '"', "*", "?", "[a]", "\\", "$HOME", "`id`", ";rm -rf .", "-rf", "--", " ", "~"),
    *("\x1b[2J", "\x07", "ü", "\udcff", "%s", "{a,b}", "!", "#", "&", "|", "..x", "...", "\t"),
)
NAME = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(codec="utf-8"), max_size=4)),
    min_size=1,
    max_size=4,
).map(lambda parts: "".join(parts).replace("/", "").replace("\0", ""))
GOOD_NAME = NAME.filter(lambda n: n not in ("", ".", "..") and len(os.fsencode(n)) < 200)


class Tree:
    """A host's storage: a workspace among others, high privacy, and things outside."""

    def __init__(self, top):
        self.top = Path(top)
        self.root = self.top / "medium/workspaces"
        self.high = self.top / "high/workspaces"
        self.outside = self.top / "outside"
        for folder in (self.root / "W/out", self.root / "V", self.high / "W/out", self.outside):
            folder.mkdir(parents=True)
        self.put(self.high / "W/out/table.csv", "high")
        self.put(self.high / "W/secret.csv", "secret")
        self.put(self.root / "V/table.csv", "other workspace")
        self.put(self.outside / "table.csv", "outside")
        self.put(self.outside / "passwd", "root")

    @staticmethod
    def put(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def precious(self):
        """Every file that must survive, by identity and content."""
        found = {}
        for folder in (self.high, self.root / "V", self.outside):
            for path in folder.rglob("*"):
                info = path.lstat()
                if path.is_file() and not path.is_symlink():
                    found[info.st_ino] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def everything(self):
        """Every regular file below the top, at any place."""
        found = {}
        for folder, _, files in os.walk(self.top):
            for name in files:
                path = Path(folder, name)
                if not path.is_symlink() and path.is_file():
                    found[path.lstat().st_ino] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def digest(self, folder):
        """Names, kinds and contents below a folder."""
        found = []
        for path in sorted(folder.rglob("*"), key=os.fsencode):
            kind = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
            found.append((os.fsencode(path.relative_to(folder)), kind, path.lstat().st_mode))
        return found

    def asked(self, workspace, path, facts, id="abc-1", **over):
        root = str(self.root)
        hold = str(self.top / "medium/.opstasks-removed")
        place = {"what": "", "root": root, "hold": hold, "identity": facts}
        place["sha256"] = facts.get("sha256", "")
        return {
            "record": {"id": id, "workspace": workspace, "file": path, "started_at": 1.0},
            "records": str(self.top / "records"),
            "places": [place],
            "sync_lock": "",
            **over,
        }

    def remove(self, path, workspace="W", facts=None, **over):
        if facts is None:
            facts = self.facts(path, workspace)
            if facts is None:
                raise HostFailure("absent")
        return remove.main(self.asked(workspace, path, facts, **over))

    def facts(self, path, workspace="W", root=None):
        """The shown facts of a file; None if it is absent."""
        return facts_at(str(root or self.root), workspace, path)

    def record(self):
        """The only record."""
        (record,) = read_records(str(self.top / "records"))
        return record
