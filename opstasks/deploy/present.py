"""Whether a deploy could work with the present checkouts and database, for `doctor`."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from opstasks.core.command import Command
from opstasks.core.fields import Line, Text
from opstasks.core.hints import one_word
from opstasks.deploy.facts import GitLock
from opstasks.deploy.problems import fault_hint, lock_problem
from opstasks.deploy.source import CheckoutSource, foreign_problems
from opstasks.fleet.inventory import HostSpec
from opstasks.fleet.program import Program


class PresentRequest(msgspec.Struct, frozen=True):
    """The paths to look at."""

    code_dir: str
    lib_dir: str
    database: str
    home: str


class PresentCheckout(msgspec.Struct, frozen=True):
    """A checkout: why git cannot read it, its kind, lock files, what belongs to others."""

    error: Text = ""
    fault: Line = ""
    locks: tuple[GitLock, ...] = ()
    foreign: tuple[Line, ...] = ()


class PresentFacts(msgspec.Struct, frozen=True):
    """The checkouts "code" and "lib"; what the account may not write of the database, or ""."""

    checkouts: dict[Line, PresentCheckout]
    not_writable: Line = ""


PRESENT = Program("opstasks.deploy.onhost.present", PresentRequest, PresentFacts)


def present_command(spec: HostSpec) -> Command:
    """Read the facts; decode the result with `PRESENT`."""
    return PRESENT.command(PresentRequest(spec.code_dir, spec.lib_dir, spec.database, spec.home))


def checkout_findings(
    spec: HostSpec, facts: PresentFacts
) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each checkout with what prevents git from working in it: texts and hints."""
    for name, path in (("code", spec.code_dir), ("lib", spec.lib_dir)):
        found = facts.checkouts.get(name, PresentCheckout())
        source = CheckoutSource(foreign=found.foreign)
        texts = [(i.text, i.hint) for i in foreign_problems(path, source, spec.service_user)]
        for lock in found.locks:
            problem = lock_problem(path, lock)
            texts.append((problem.text, problem.hint))
        if found.error:
            texts.append((found.error, fault_hint(spec.name, path, found.fault, spec.service_user)))
        yield path, texts


def rights_hint(spec: HostSpec) -> str:
    """How to give the database back to the service account."""
    place = one_word(spec.database)
    return f"as root: chown {one_word(spec.service_user)}: {place}* {one_word(spec.workdir)}"
