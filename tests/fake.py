"""A strict stand-in for a host: it answers what the test expects, in order, and nothing else."""

import threading

from opstasks.core import events
from opstasks.core.result import Result
from opstasks.fleet.host import Host
from opstasks.fleet.inventory import HostSpec


class FakeSession:
    """Answers by the first rule whose word is in the command; anything else is an error."""

    def __init__(self, rules, seen):
        self.rules, self.seen = rules, seen

    def batch(self, commands):
        return [self._answer(command) for command in commands]

    def evaluate(self, text, timeout_s=30.0):
        self.seen.append(text)
        return Result("", 0, "", "")

    def close(self):
        pass

    def _answer(self, command):
        line = command.line()
        self.seen.append(line)
        for word, answers in self.rules:
            if word in line:
                answer = answers.pop(0) if isinstance(answers, list) else answers
                if isinstance(answer, BaseException):
                    raise answer
                code, out = answer if isinstance(answer, tuple) else (0, answer)
                return Result(line, code, out, "")
        raise AssertionError(f"unexpected command: {line[:200]}")


class FakeHost(Host):
    """A host whose every shell is one `FakeSession`."""

    def __init__(self, rules):
        self.told, self.seen, self.stop = [], [], threading.Event()
        super().__init__(
            HostSpec(name="tpp", address="tpp"),
            connect=self._never,
            observer=self.told.append,
            stop=self.stop,
        )
        self.rules = rules

    @staticmethod
    def _never(spec):
        raise AssertionError("no connection in these tests")

    def open_session(self, user):
        return FakeSession(self.rules, self.seen)

    @property
    def steps(self):
        return [event.text for event in self.told if isinstance(event, events.StepReached)]
