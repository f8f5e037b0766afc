"""Results of pairs: kept as lines of JSON, shown as tables."""

import json
import threading

from tests.faults.known import KNOWN

KINDS = ("lost", "outcome", "statement", "record", "after", "hint", "message", "test")
_LOCK = threading.Lock()


def write(path, verdict):
    """Append one verdict."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _LOCK, path.open("a") as file:
        file.write(json.dumps(verdict.plain()) + "\n")


def read(path):
    """The newest verdict of each pair, by name."""
    if not path.exists():
        return {}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {line["case"]: line for line in lines}


def unknown(found):
    """Verdicts with findings that are not in the list of known ones."""
    return [v for v in found.values() if v["wrong"] and not is_known(v)]


def is_known(verdict):
    """Whether every finding of a pair is of a known kind."""
    kinds = KNOWN.get(verdict["case"], ("", ()))[1]
    return all(kind in kinds for kind in verdict["wrong"])


def table(found):
    """The results as markdown: one line for each workflow, then every finding."""
    lines = ["| workflow | pairs | right | " + " | ".join(KINDS) + " |"]
    lines.append("| --- |" + " --- |" * (len(KINDS) + 2))
    for flow in dict.fromkeys(case.split(" / ")[0] for case in found):
        lines.append(_row(flow, [v for c, v in found.items() if c.split(" / ")[0] == flow]))
    lines.append(_row("all", list(found.values())))
    lines.append("")
    for case, verdict in found.items():
        if verdict["wrong"]:
            known = f" (known: {KNOWN[case][0]})" if is_known(verdict) else ""
            lines.append(
                f"- **{case}**{known}: exit {verdict['code']}, `{verdict['message'][:160]}`"
            )
            lines += [
                f"  - {kind}: {text}" for kind, texts in verdict["wrong"].items() for text in texts
            ]
    return "\n".join(lines)


def _row(name, verdicts):
    right = sum(not v["wrong"] for v in verdicts)
    counts = [str(sum(kind in v["wrong"] for v in verdicts) or "") for kind in KINDS]
    return f"| {name} | {len(verdicts)} | {right} | " + " | ".join(counts) + " |"
