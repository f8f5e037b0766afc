"""Every function that reads text from a host, a file or a person, and what it may raise.

A row is a function of one text. Names are `module:function`, without the package.
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module

import yaml

from opstasks.core.clock import Clock
from opstasks.core.errors import OpsError
from opstasks.core.result import Result
from opstasks.output.escape import printable_line
from opstasks.output.parts import text_of_line
from tests.fuzz import hostile, tab
from tests.output.screen_rules import too_wide

ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+-]{0,9}")
NOW = datetime(2027, 1, 15, tzinfo=UTC)


@dataclass(frozen=True)
class Parser:
    """`call` reads one text; `tokens` are words of its format; `raises` are expected errors."""

    name: str
    call: object
    tokens: tuple[str, ...] = ()
    raises: tuple[type, ...] = (OpsError,)
    # From a host: the coverage-guided fuzzer takes these.
    is_host: bool = True


def found(name):
    """The function of `module:function`."""
    module, _, function = name.partition(":")
    value = import_module(f"opstasks.{module}")
    for part in function.split("."):
        value = getattr(value, part)
    return value


def host(name, *tokens, raises=(OpsError,), call=None):
    """A parser of what a host says."""
    return Parser(name, call or found(name), tokens, raises)


def ours(name, *tokens, raises=(OpsError,), call=None):
    """A parser of what a person types, or of a file on this machine."""
    return Parser(name, call or found(name), tokens, raises, is_host=False)


def with_result(name, *more):
    """A parser of a command's result."""
    parse = found(name)
    return lambda text: parse(Result("x", 0, text, ""), *more)


def marks(text):
    """A host's output, searched for an end mark as it arrives."""
    data = text.encode("utf-8", "surrogateescape" if text.isascii() else "surrogatepass")
    out, ends = bytearray(), found("fleet.marks:EndMarks")("m")
    for start in range(0, len(data), 4096):
        out += data[start : start + 4096]
        if ends.is_in_out(out) and ends.is_in_err(out):
            return


def taps(text):
    """A host's output; whole lines of it are passed on early."""
    data = text.encode("utf-8", "surrogatepass")
    tap = found("fleet.line_tap:LineTap")("m", lambda out, err: None)
    buffer = bytearray()
    for start in range(0, len(data), 4096):
        buffer += data[start : start + 4096]
        tap.look(buffer, bytearray())


def reads(text):
    """The parts of a program's answer, as they arrive."""
    from opstasks.jobs.listing import STREAM

    reader = found("fleet.program:Reader")(STREAM, "tpp", lambda part: None)
    reader.take(text.encode("utf-8", "surrogatepass"))
    reader.end(Result("x", 0, "", ""))


def decodes(text):
    """The answer of a program."""
    from opstasks.jobs.read import READ

    READ.decode(Result("x", 0, text, ""), "tpp")


def keys_of_file(text):
    """A known_hosts file."""
    list(found("fleet.known_hosts:KnownHostsFile")(text).find("tpp"))


def system_units(text):
    """The blocks of several units."""
    return found("manage.onhost.system_facts:units_of")(["a", "b"], text)


def journal_rows(text):
    """The entries of a host's journal."""
    entry = found("history.read:JournalEntry")
    found("history.read:rows")([entry(line) for line in text.split("\n")], "tpp", "host")


def log_records(text):
    """The lines of the service's log, as windows and a pipe show them."""
    from opstasks.logs.show import LogLayout, LogView

    records = list(found("logs.records:records")(text.split("\n")))
    for columns in (0, 60, 80, 140):
        view = LogView(LogLayout.of(["tpp", "emis"], columns, Clock(1.0)))
        for record in records:
            lines = [printable_line(text_of_line(line)) for line in view.lines("tpp", record)]
            assert columns or len(lines) == 1
            for line in lines:
                assert line.replace("\t", "").isprintable()
            assert not columns or too_wide(lines, columns) == []


def masked_tokens(text):
    """A text in which everything that looks like a token is masked, too."""
    return found("onhost.masking:masked")(text, tokens=True)


def masked_words(text):
    """The words of a command line, and one word with blanks."""
    return found("onhost.masking:masked_words")([*text.split(" "), text])


def metadata(text):
    """A job's metadata.json, as text and as a value of its environment."""
    mask = found("jobs.onhost.metadata:masked")
    mask({"a": text, text: "a", "Env": [text]})


def records(text):
    """Docker's log of a job."""
    return found("queries.onhost.job_logs:last_statement")(text.splitlines(keepends=True))


def journal_lines(text):
    """The lines of a journal."""
    return list(found("onhost.journal_records:matching")(text.split("\n"), "abc"))


def zone(text):
    """A host's time zone: the whole text that names it, or a name in it."""
    for said in (text, f"{text} +0100\n", f"UTC {text}\n"):
        known = found("fleet.zone:parse")(said.encode("utf-8", "surrogatepass"))
        assert known is None or ZONE.fullmatch(known.tzname(None))


def statuses(text):
    """The journal's lines about a job."""
    return found("jobs.show:statuses")(text.split("\n"))


def rsync_items(text):
    """What rsync says about each file."""
    found("sync.onhost.run:note_items")(found("sync.onhost.records:RunRecord")(), text)


def masked(text):
    """The lines of a diff."""
    return found("manage.show:masked")("/etc/x.env", text, "")


def shell_text(text):
    """An environment file, as bash would read it."""
    return found("config.onhost.shell_reader:ShellReader")(text).read()


UNIT = "LoadState=", "ActiveState=active", "MainPID=", "NRestarts=", "StateChangeTimestamp=Fri 2"
STAMP = "2027-01-15T08:00:00.1Z "
SHELL = "${", "$(", "A=", "export ", "'", '"', "\\\n", "#", "<<E", "[[", "((", "if ", ";"
SECRETS = (
    "TOKEN=",
    "'password': '",
    "--password ",
    "-p ",
    "bearer ",
    "a://",
    ":",
    "@",
    "\\",
    "mysql ",
    "<password>",
    "'password', ",
    'PASSWORD "x" ',
    '\\"token\\": \\"',
    "u:p@h,",
    "login x password ",
    "TOKEN=(",
    "TOKEN={'",
    "KEY=<<E ",
    "curl -u a:b ",
    "login -p 'a ",
    "%3D",
)
KEY = "ssh-ed25519 AAAA", "|1|", "@revoked ", "@cert-authority ", "*,", "AAAAAAAAAAAA"
VALUE = (ValueError,)

PARSERS = (
    # -- the wire
    host("fleet.marks:EndMarks", "\0m ", "\0m\0", "0\0", raises=VALUE, call=marks),
    host("fleet.zone:parse", "UTC +0000", "\n", "BST +0100", call=zone),
    host("fleet.line_tap:LineTap", "\0m", call=taps),
    host("fleet.program:Reader", '{"part":', '{"ok":', "}", "\n", call=reads),
    host("fleet.program:Program.decode", '{"ok":', '{"failed":', "}", "[", call=decodes),
    host(
        "fleet.refusals:said",
        "sudo: ",
        "\n",
        call=lambda text: found("fleet.refusals:said")(text, 3),
    ),
    host(
        "fleet.refusals:refusal",
        "sudo: ",
        "unknown user",
        "not allowed to execute '",
        "' as ",
        call=lambda text: found("fleet.refusals:refusal")(text, "tpp", "root"),
    ),
    host("fleet.wire:in_one_line"),
    host("fleet.lock:parse_owner", '{"who":', '"since":', "}"),
    host("fleet.leftover:describe", "12 ", "git checkout", "\n"),
    # -- programs of a host
    host(
        "primitives.systemd:parse_show",
        *UNIT,
        call=lambda t: found("primitives.systemd:parse_show")("u", t),
    ),
    host("primitives.systemd:parse_timestamp", "Fri ", "2027-01-15 ", "08:00:00 "),
    host("history.read:rows", '{"run_id":', '"time":"2027-01-15T08:00:00"', "}", call=journal_rows),
    host("jobs.host_stats:_bytes_of", "1.5", "GB", " (89%)", raises=VALUE),
    host("jobs.disks:parse_use", " 12% /", "\n"),
    host("status.crashes:parse_runs", '{"MESSAGE":', '"__REALTIME_TIMESTAMP":"1"', "}", "\n"),
    host("status.crashes:parts", "\n\n"),
    host(
        "logs.records:records",
        "2026-11-26T23:46:12+0000 tpp python3[1]: ",
        "2026-11-26 23:46:12.1Z run  ",
        " id=abc",
        "Traceback (most recent call last):\n",
        "\n",
        call=log_records,
    ),
    host("jobs.host_stats:parse_docker_df", '{"Type":', '"Size":', "}"),
    host(
        "jobs.logs:parse_counts",
        "1 ",
        "9",
        call=lambda t: found("jobs.logs:parse_counts")(t, "tpp"),
    ),
    host(
        "jobs.strace:parse_top",
        "PID\n",
        "1 a\n",
        call=lambda t: found("jobs.strace:parse_top")(t, "tpp"),
    ),
    host(
        "jobs.show:statuses",
        "2027-01-15T08:00:00+0000 ",
        STAMP,
        " status=StatusCode.",
        "Z INFO ",
        call=statuses,
    ),
    host("logs.read:shortened"),
    host(
        "deploy.release:parse_releases",
        '{"ok":',
        call=with_result("deploy.release:parse_releases", "tpp"),
    ),
    host("onhost.journal_records:matching", "a b c: ", "2027-01-15 08:", call=journal_lines),
    host("onhost.mounts:plain", "\\040", "\\"),
    host("onhost.mounts:mount_points", "1 2 3 4 /a\\040 ", "\n"),
    host("jobs.onhost.host_stats:memory", "MemTotal: 1 kB\n", raises=VALUE),
    host("jobs.onhost.host_stats:parse_stat", "1 (", ") S ", raises=VALUE),
    host("jobs.onhost.job_containers:epoch", "2027-01-15T08:00:00", ".1", "Z", "+01:00"),
    host("jobs.onhost.stats:moment", "2027-01-15T08:00:00", ".1", "Z"),
    host("jobs.onhost.metadata:masked", "a://", ":", "@", "TOKEN=", call=metadata),
    host("jobs.onhost.metadata:masked_variable", "PATH=", "a://", ":", "@"),
    host(
        "queries.onhost.job_logs:last_statement",
        STAMP,
        "SQL:",
        "--",
        "[info] ",
        "\x1b[",
        call=records,
    ),
    host("queries.onhost.statements:image_name", "@", "/", ":"),
    host(
        "deploy.migration_words:changes",
        "ALTER TABLE job ADD COLUMN ",
        "CREATE UNIQUE INDEX ",
        " ON ",
        "x",
        '"',
        ";",
        call=lambda t: list(found("deploy.migration_words:changes")(t)),
    ),
    host(
        "deploy.told:exception_in", "Traceback (most recent call last):\n", "  File", "x: y", "\n"
    ),
    host("deploy.onhost.checkout_facts:dirt", "?? a\n", "M  a\n", " M a\n"),
    host(
        "deploy.onhost.checkout_facts:fault_of", "No space left on device", "packed-refs", ".lock"
    ),
    host("maintenance.onhost.units:unit_of", *UNIT),
    host("onhost.unit_state:parse", *UNIT),
    host("maintenance.onhost.file_systems:boot_mounts", "/dev/a /b ext4 x 0 0\n"),
    host("manage.onhost.system_facts:units_of", *UNIT, "\n\n", call=system_units),
    host("manage.onhost.sudo_log:moment", "Jan 15 08:00:00", " 2027"),
    host(
        "manage.onhost.sudo_log:mentions",
        "Jan 15 08:00:00 : a : ",
        "COMMAND=",
        "/etc",
        call=lambda t: found("manage.onhost.sudo_log:mentions")(t, {"/etc"}),
    ),
    host("manage.onhost.account_facts:is_past", "1", "\u00b2"),
    host(
        "manage.onhost.effect_sshd:values_of",
        "permitrootlogin a\n",
        "\n",
        call=lambda t: found("manage.onhost.effect_sshd:values_of")(t, ["permitrootlogin"]),
    ),
    host("manage.onhost.effect_sshd:directive", "Match ", "=", '"', "#"),
    host("manage.onhost.effect_sshd:options", "SSHD_OPTS=", "'"),
    host("manage.onhost.effect_sudo:lines_of", "a ALL=", "\\\n", "  "),
    host("manage.onhost.effect_sudo:plugins", "Plugin ", "path", "\\\n", "#"),
    host("manage.onhost.effect_sudo:settings_of", "\\\n", "#", "\r\n"),
    host("manage.onhost.effect_units:keys_of", "User=", "\r", "\n"),
    host("manage.onhost.effect_docker:configured", '{"hosts": ["', ":1", '"]}'),
    host("manage.onhost.effect_root:variables", "PATH=", "/usr/bin", ":", "\n"),
    host("manage.onhost.effect_logins:is_plain", '{"auths": {', "}}", '"'),
    host("manage.onhost.effect_sudo:sources", "sudoers:", "files", "#"),
    host(
        "sync.onhost.run:note_items",
        ">f+++++++++ 1 a\n",
        'skipping non-regular file "',
        call=rsync_items,
    ),
    host("sync.onhost.run:pattern", "[", "*", "\\"),
    host("config.onhost.systemd_reader:read_systemd", *SHELL),
    host("config.onhost.shell_reader:ShellReader", *SHELL, call=shell_text),
    host("config.onhost.edit:quoted", "'", "\\"),
    host(
        "config.onhost.edit:assign",
        *SHELL,
        call=lambda t: found("config.onhost.edit:assign")(t, "A", "b"),
    ),
    host(
        "config.onhost.edit:remove",
        *SHELL,
        call=lambda t: found("config.onhost.edit:remove")(t, "A"),
    ),
    # -- secrets
    host("onhost.masking:masked", *SECRETS),
    host("onhost.masking:masked-tokens", *SECRETS, call=masked_tokens),
    host("onhost.masking:masked_env", *SECRETS, "# ", "\n"),
    host("onhost.masking:masked_words", *SECRETS, call=masked_words),
    host("onhost.masking:without_credentials", "a://", ":", "@", "/", "?"),
    host("onhost.masking:marked", "# A is a secret\n", "# ", "\n"),
    host("onhost.masking:assigned", "export ", "A=", "#", "_"),
    host("onhost.masking:placeholder", "a://", "/", "1"),
    host(
        "onhost.masking:is_secret",
        *SECRETS,
        call=lambda t: found("onhost.masking:is_secret")(t, [t], []),
    ),
    host("onhost.checkout_source:settings_of", "remote.a.url\n", "a://", "@", "\0"),
    host("onhost.checkout_source:masked", "a://", "@", "/"),
    host("onhost.checkout_source:keywords_of", "Host a\n", "ProxyCommand=", '"', "#", " ", "\n"),
    host("config.keys:template_keys", "# A=", "A=", "\n"),
    host(
        "fleet.last_seen:Sightings.add",
        *("abcd", "a", ":", "/", ".", "-", "="),
        raises=(),
        call=tab.after_a_host_said,
    ),
    ours(
        "fleet.last_seen:read",
        *('{"jobs":', '[["abcd","h","x"]', "]", "}", ",", "null", "[[["),
        raises=(),
        call=tab.with_file,
    ),
    # -- the screen
    host("output.escape:printable"),
    host("core.hints:one_word"),
    host("output.escape:printable_line"),
    host("core.lines:lines_of", "\r\n"),
    host("output.live:within", "\n", call=lambda t: found("output.live:within")([[t]], 80, 24)),
    host(
        "output.paragraphs:folded_line",
        *(" ", "inv -H a", "inv a; "),
        call=lambda t: found("output.paragraphs:folded_line")([t], 40),
    ),
    host("output.fit:wrapped", " ", "inv a; ", call=lambda t: found("output.fit:wrapped")(t, 40)),
    host("manage.show:masked", "A_TOKEN=", "export ", "a://", ":", "@", "password ", call=masked),
    host("images.names:short", "sha256:"),
    host("queries.mssql:table_name", "#", "_____"),
    # -- what a person types, and files of this machine
    ours("core.durations:parse", "1w", "2d", "3h", "4m", "5s", "9" * 6),
    ours("core.durations:is_span", "1w", "9" * 6),
    ours(
        "core.durations:moment",
        "2027-01-15",
        "T08:00",
        "1h",
        call=lambda t: found("core.durations:moment")(t, NOW),
    ),
    ours("primitives.journal:since", "2027-01-15", "1h"),
    ours("primitives.git:valid_ref", "refs/", "..", "@{"),
    ours("images.names:parse_ref", "python", ":", "@sha256:", "/"),
    ours("images.names:check_digest", "sha256:"),
    ours("images.names:valid_registry", "a.b/", ":"),
    ours("outputs.names:workspace", "..", "/"),
    ours(
        "outputs.names:file", "..", "/", call=lambda t: found("outputs.names:file")(t, "w", "/srv")
    ),
    ours("jobs.find:check_word"),
    ours("jobs.listing:since_of", "1h", "2027-01-15"),
    ours("maintenance.prepare:check_at", "22:00", "2027-01-15 "),
    ours(
        "queries.mssql:valid_name",
        "[",
        "]",
        call=lambda t: found("queries.mssql:valid_name")(t, "x"),
    ),
    ours(
        "queries.mssql:parse_url",
        "mssql://",
        "u:p@h:1/d",
        call=lambda t: found("queries.mssql:parse_url")("K", found("core.command:Secret")(t)),
    ),
    ours("config.typed:valid_key", "A", "_"),
    ours("config.typed:valid_value", call=lambda t: found("config.typed:valid_value")("A", t)),
    ours(
        "config.typed:assignment",
        "A=",
        "=-",
        call=lambda t: found("config.typed:assignment")(t, []),
    ),
    ours("manage.keys:parse", *KEY, raises=VALUE),
    ours(
        "manage.units:mistakes",
        "[Service]",
        "A=",
        "\\\n",
        call=lambda t: list(found("manage.units:mistakes")("a.service", t)),
    ),
    ours("fleet.known_hosts:KnownHostsFile", *KEY, call=keys_of_file),
    ours("fleet.known_hosts:keys_of", *KEY, raises=VALUE),
    ours(
        "fleet.known_hosts:pinned",
        *KEY,
        raises=VALUE,
        call=lambda t: found("fleet.known_hosts:pinned")([t]),
    ),
    ours(
        "fleet.known_hosts:matches",
        "*",
        "?",
        "!",
        ",",
        "|1|",
        call=lambda t: found("fleet.known_hosts:matches")(t, "tpp"),
    ),
    ours(
        "fleet.config_files:matches",
        "*",
        "?",
        "[",
        call=lambda t: found("fleet.config_files:matches")(t, "tpp"),
    ),
    ours("fleet.inventory:parse_ad_hoc", "a@", "b", ":22", "[::1]", "\u0663"),
    ours(
        "fleet.strict_yaml:parse_yaml",
        "a: b\n",
        "- ",
        "&a ",
        "*a",
        "<<: ",
        "{",
        "[",
        "!!python/name:os ",
        raises=(yaml.YAMLError, *VALUE),
    ),
    ours("cli.completion_shells:split", "inv ", "A=b ", "'", '"', "\\", " ", raises=()),
    ours("cli.options:password_from", call=lambda t: found("cli.options:password_from")(t, "x")),
)

# Functions that have a parser's name but need no row, and why.
NO_PARSER = {
    "config.onhost.reading:line_of": "counts line ends",
    "core.durations:check_sure": "compares a number",
    "fleet.program:packed": "writes what we made",
    "fleet.known_hosts:read": "reads a file; its text is KnownHostsFile's",
    "fleet.last_run:read": "reads our own file: tests/fleet/test_last_run.py",
    "config.onhost.files:read_file": "reads a file; its text is read_shell's and read_systemd's",
    "deploy.onhost.checkout:read": "runs git; gives its text on",
    "maintenance.onhost.units:read_unit": "runs systemctl; its text is unit_of's",
    "maintenance.onhost.store:read_item": "reads a file of ours",
    "maintenance.onhost.store:read_items": "reads files of ours",
    "outputs.onhost.records:read_records": "reads files of ours",
    "queries.progress:read_progress": "asks a database: tests/queries",
}


def typed(text):
    """The text as it can be in an argument of a command or in a UTF-8 file."""
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")


# In a format, these are where a host's own values begin, end, or are.
NUMBER_OR_SIGN = re.compile(r"[0-9]+|[^\w\s]")


def _replaced(found, dice):
    return dice.choice(hostile.PIECES) if dice.random() < 0.1 else found


def text_for(dice, parser):
    """A text for a parser: nonsense, or its own words in a wrong order."""
    way = dice.randrange(3)
    if way == 0:
        own = parser.tokens or hostile.PIECES
        words = dice.choice((own, (*own, *hostile.PIECES)))
        text = "".join(dice.choices(words, k=dice.randint(0, 12)))
        text = NUMBER_OR_SIGN.sub(lambda found: _replaced(found[0], dice), text)
    elif way == 1:
        text = hostile.raw(dice)
    else:
        text = json.dumps(hostile.value(dice))
    return text if parser.is_host else typed(text)


def run(parser, text):
    """Call a parser; expected errors are fine, any other error is a defect."""
    try:
        parser.call(text)
    except parser.raises as error:
        str(error).encode("utf-8", "backslashreplace")
