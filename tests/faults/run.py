"""Running one pair: prepare, make the fault at the moment, observe, judge, follow the hint."""

import contextlib
import re
import time
from dataclasses import asdict, dataclass, field

from tests.faults import claims, hints, observer
from tests.faults.catalogue import FAULTS
from tests.faults.client import Client
from tests.faults.fault import nothing
from tests.faults.ground import look
from tests.faults.traps import Trapper
from tests.faults.workflow import serves
from tests.faults.workflows import WORKFLOWS

# The longest that a client may take, and how long a moment may be awaited.
CLIENT_S, MOMENT_S = 150, 60
# Work that waits for docker or the database may wait long: the fault is lifted after this time.
PATIENCE_S = 100
# After these the host may still change when the client has ended.
CHANGING = {name for name, fault in FAULTS.items() if fault.undo is not nothing}


@dataclass(frozen=True)
class Case:
    """One pair: a moment of a workflow, and a fault."""

    flow: str
    point: str
    fault: str

    @property
    def name(self):
        """For people and for FAULTS=."""
        return f"{self.flow} / {self.point or 'start'} / {self.fault}"


@dataclass
class Verdict:
    """How a pair ended; `wrong` has a list of findings by kind."""

    case: str
    code: int | None = None
    outcome: str = ""
    host: str = ""
    at: str = ""
    message: str = ""
    hint: str = ""
    tail: str = ""
    last: str = ""
    waited: bool = False
    wrong: dict = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, kind, found):
        """Note findings of a kind: lost, outcome, statement, message, hint, record, after."""
        if found:
            self.wrong.setdefault(kind, []).extend(found)

    def plain(self):
        """As JSON."""
        return asdict(self)


class Pair:
    """One run of a case on a machine. The faults work on it."""

    def __init__(self, ground, case):
        self.ground, self.machine, self.case = ground, ground.machine, case
        self.flow, self.fault = WORKFLOWS[case.flow], FAULTS[case.fault]
        self.trapper = Trapper(self.machine)
        self.hit = self.client = None
        self.others, self.words = [], []
        self.verdict = Verdict(case.name, host=self.machine.name, at=time.strftime("%H:%M:%S"))

    # -- what faults use -----------------------------------------------------------------------

    def release(self):
        """Let the stopped program go on."""
        self.trapper.release()

    def other_client(self, operator):
        """Another operator with the same command."""
        return Client(self.ground, self.words, operator=operator)

    # -- the run -------------------------------------------------------------------------------

    def run(self):
        """Run it; returns the verdict."""
        started = time.monotonic()
        try:
            self._prepare()
            ended = self._strike()
            self._judge(ended)
        except Exception as error:  # a defect of this test is a finding, too
            self.verdict.add("test", [f"{type(error).__name__}: {str(error)[:400]}"])
        finally:
            self._clean()
        self.verdict.seconds = round(time.monotonic() - started, 1)
        return self.verdict

    def _prepare(self):
        flow, machine = self.flow, self.machine
        self.ground.reset(flow.ground)
        if self.fault.setup:
            machine.sh(f"systemctl stop jobrunner; {self.fault.setup}; systemctl start jobrunner")
        if flow.prepare:
            machine.sh(flow.prepare)
        if flow.first:
            env = {"LOGNAME": flow.first_by} if flow.first_by else {}
            done = Client(self.ground, list(flow.first), env=env).end()
            assert done.code == 0, done.text[-400:]
        self.before = look(machine)
        self.before |= {"job": self.ground.job, "kept": self.ground.kept}
        self.words = [self._word(word) for word in flow.words]

    def _word(self, word):
        if word == "REMOVAL":
            return next(iter(self.before["removals"])).removesuffix(".json")
        if word == "SCHEDULED":
            return next(iter(claims.scheduled_ids(self.before)))
        return self.ground.job if word == "JOB" else word

    def _inv(self, words):
        own = self.ground.own if self.flow.is_own and list(words) == self.words else None
        return Client(self.ground, list(words), inventory=own).end()

    def _strike(self):
        """Start the client, and make the fault at the moment; returns how the client ended."""
        if self.fault.early:
            self.fault.act(self)
            if self.fault.stays:
                self.before |= look(self.machine)
        trap = self.flow.points[self.case.point] if self.case.point else None
        if trap:
            self.trapper.arm(self.flow.lead[0] if self.flow.lead else trap)
        self.client = Client(self.ground, self.words, **self._login())
        if trap and self.flow.lead:
            self._await(self._do_lead)
            self.trapper.arm(trap)
        if trap:
            self._await(lambda: self.fault.early or self.fault.act(self))
        if not self.client.ends_within(PATIENCE_S) and not self.fault.stays:
            self.fault.undo(self)
            self.verdict.waited = True
        ended = self.client.end(CLIENT_S)
        self.verdict.code, self.verdict.outcome = ended.code, ended.host.get("outcome", "")
        self.verdict.message = ended.error.get("message", "")
        self.verdict.hint = ended.error.get("hint", "")
        self.verdict.tail = ended.error.get("tail", "")[-600:]
        self.verdict.last = ended.err[-300:]
        return ended

    def _do_lead(self):
        self.machine.sh(self.flow.lead[1])

    def _await(self, act):
        """Wait for the moment, act, and let it go on."""
        deadline = time.monotonic() + MOMENT_S
        while self.hit is None and self.client.runs and time.monotonic() < deadline:
            self.hit = self.trapper.wait(0.2)
        self.hit = self.hit or self.trapper.wait(0.2)
        if self.hit is None:
            self.verdict.add("test", ["the moment was not reached"])
            return
        act()
        self.release()
        self.hit = None

    def _login(self):
        if not self.fault.asking:
            return {"inventory": self.ground.own} if self.flow.is_own else {}
        path = self.ground.folder / f"password-{self.machine.name}"
        right = (self.machine.sandbox_dir / "sudo-password").read_text()
        path.write_text({"right": right, "wrong": "wrong\n"}.get(self.fault.asking, ""))
        path.chmod(0o600)
        env = {} if self.fault.asking == "none" else {"OPSTASKS_SUDO_PASSWORD_FILE": str(path)}
        return {"inventory": self.ground.asking, "env": env}

    # -- judging -------------------------------------------------------------------------------

    def _judge(self, ended):
        cursor = self.before["cursor"]
        views = []
        with contextlib.suppress(AssertionError):
            views.append(look(self.machine, cursor))
        if not self.fault.stays:
            self.fault.undo(self)
        others = [other.end(CLIENT_S) for other in self.others]
        if others or not views or not observer.is_quiet(views[0]) or self.case.fault in CHANGING:
            views.append(observer.settled(self.machine, cursor))
        self._judge_end(ended, others, views)
        self._judge_host(ended, views[-1])
        self._judge_message(ended)
        self._go_on(ended, views[-1])

    def _judge_end(self, ended, others, views):
        flow, fault, verdict = self.flow, self.fault, self.verdict
        allowed = fault.codes | (flow.codes if fault.codes != {-9} else frozenset())
        if ended.hung:
            verdict.add("outcome", [f"the client did not end in {CLIENT_S} s"])
        elif ended.code not in allowed:
            verdict.add("outcome", [f"exit code {ended.code}, allowed {sorted(allowed)}"])
        ends = [ended, *others]
        leave = fault.touches | ({"service"} if fault.extra.get("crashes") else set())
        if any(end.code == 0 for end in ends) and not self._reached(views):
            verdict.add("outcome", ["exit code 0, but the goal is not reached"])
        alone = not others
        if (
            alone
            and ended.code in (2, 3)
            and all(observer.changed(self.before, v, leave) for v in views)
        ):
            other = observer.changed(self.before, views[-1], leave)
            verdict.add("outcome", [f"exit code {ended.code}, but these differ: {other}"])
        if alone:
            found = claims.false_statements(ended, self.before, views, leave)
            verdict.add("statement", found)

    def _reached(self, views):
        return self.fault.spoils or any(self.flow.goal(self.before, seen) for seen in views)

    def _judge_host(self, ended, seen):
        verdict = self.verdict
        verdict.add("lost", observer.lost(self.before, seen, self.flow, self.fault))
        verdict.add("lost", observer.lost_edit(self.machine, self.fault))
        verdict.add("record", observer.audit_problems(self.before, seen, ended, self.fault))
        verdict.add("record", observer.untrue_release(seen, self.fault))
        # A restart that fails half-way may leave the service down, and says so; a release must not.
        if ended.code in (0, 1, 2) and self._should_serve() and not serves(seen):
            verdict.add("outcome", [f"the service is {claims.service_of(seen)} afterwards"])
        if not seen["lock_is_free"] and self.flow.name != "lock.break":
            verdict.add("after", [f"the lock stays held by {seen['holders']}"])

    def _should_serve(self):
        """Whether the service served, and nothing that was done can keep it down."""
        if "code" not in self.flow.changes and not self.fault.early:
            return False
        # A unit that was masked before the run is a reason not to stop the service at all.
        late = "no start" in self.fault.extra and not self.fault.early
        free = not (late or "crashes" in self.fault.extra or self.fault.spoils)
        return serves(self.before) and free and not self.flow.rests

    def _judge_message(self, ended):
        if "Traceback" in ended.err + ended.error.get("message", ""):
            self.verdict.add("message", ["a traceback"])
        if ended.code in (0, -9, 130):
            return
        error = ended.error
        if error.get("host") != self.machine.name:
            self.verdict.add("message", [f"does not name the host: {error.get('message')!r}"])
        if not error.get("hint"):
            self.verdict.add("message", [f"no hint: {error.get('message')!r}"])
        said = f"{error.get('message')} {error.get('tail')} {error.get('hint')} {ended.err}"
        expected = ended.code in self.flow.codes
        if self.fault.cause and not expected and not re.search(self.fault.cause, said):
            self.verdict.add("message", [f"the cause is not named: {error.get('message')!r}"])
        if re.search(r"(^|[;:] )\w*Error: ", error.get("message", "")):
            self.verdict.add("message", [f"an error of Python: {error.get('message')!r}"])
        blamed = re.search(r"v2\.73\.0 failed", error.get("message", ""))
        innocent = self.fault.extra.get("person") or "journald" in self.fault.name
        named = re.search("by hand|[Ss]omebody|journal", error.get("message", ""))
        if blamed and innocent and not named:
            self.verdict.add("statement", [f"the release is blamed: {error.get('message')!r}"])

    # -- what comes after ------------------------------------------------------------------------

    def _go_on(self, ended, seen):
        """Follow the hint once, mend what stays, and run the same command again."""
        rests = (
            self.flow.rests or self.before["units"]["jobrunner.service"]["SubState"] != "running"
        )
        was = observer.problems(seen, rests)
        now, repeated = self._follow(ended, was, rests)
        if self.fault.stays:
            self.fault.undo(self)
            now = observer.problems(look(self.machine), rests)
        if now or (ended.code not in (0, 2) and not repeated):
            now = self._again(rests)
        if self.fault.extra.get("person") or "database" in self.fault.touches:
            # What a person did may stay; and nobody can mend a database.
            now = [text for text in now if "edited" not in text and "database" not in text]
            now = [text for text in now if not self.fault.spoils or "service" in text]
        if self.fault.extra.get("crashes"):
            # The fault ended the service; systemd starts it again after a minute.
            now = [text for text in now if "auto-restart" not in text]
        self.verdict.add("after", now)

    def _follow(self, ended, was, rests):
        kind, what = hints.command_of(ended.error.get("hint", ""), self.words)
        if kind == "root":
            self.machine.run(what)
        elif kind == "inv" and hints.may_follow(what) and what[0] not in ("doctor", "status"):
            done = self._inv(what)
            self._see_whether_it_helped(done)
            same = (done.error.get("message"), done.error.get("hint"))
            first = (ended.error.get("message"), ended.error.get("hint"))
            if done.code and same == first and was and not self.fault.stays:
                self.verdict.add("hint", [f"a circle: {first}"])
        elif kind == "inv" and what[0] == "doctor":
            done = self._inv(["doctor"])
            if done.code == 0 and was:
                self.verdict.add("hint", [f"doctor finds nothing, although: {was}"])
        else:
            return was, False
        now = observer.problems(observer.settled(self.machine, self.before["cursor"]), rests)
        if any("unfinished" in text for text in was):
            # Half moved, the service crashes and is started again, all the time.
            now, was = ([t for t in texts if "auto-restart" not in t] for texts in (now, was))
        if len(now) > len(was):
            self.verdict.add("hint", [f"after following it: {now}, before: {was}"])
        return now, what == self.words

    def _see_whether_it_helped(self, done):
        """A hint that was followed to a good end has brought what was asked for."""
        asked = self.flow.codes == {0} and not self.fault.spoils and not self.fault.stays
        # These restore the former state, which is no less a help.
        asked = asked and done.words[0] not in ("unpause", "scheduled.cancel")
        if done.code == 0 and asked and done.host.get("outcome") == "changed":
            seen = observer.settled(self.machine, self.before["cursor"])
            if not self.flow.goal(self.before, seen) and "unfinished" not in str(self.verdict.hint):
                self.verdict.add("hint", [f"followed, and the goal is not reached: {done.words}"])

    def _again(self, rests):
        """The same command once more ends well, or has nothing to do."""
        words = self.words if self.flow.name != "outputs.attest" else ["status"]
        done = self._inv(words)
        now = observer.problems(observer.settled(self.machine, self.before["cursor"]), rests)
        if "is unfinished" in str(done.error) or [t for t in now if "unfinished" in t]:
            done = self._inv(["deploy", "--yes", "--watch", "1", "--unfinished", "finish"])
            now = observer.problems(observer.settled(self.machine, self.before["cursor"]), rests)
        if now:
            now = [f"after running it again ({done.code} {done.error.get('message', '')!r}): {now}"]
        return now

    def _clean(self):
        for client in [self.client, *self.others]:
            if client is not None and client.runs:
                client.end(1)
        with contextlib.suppress(AssertionError, OSError):
            self.trapper.disarm()
            if self.machine.is_up:
                self.fault.undo(self)
