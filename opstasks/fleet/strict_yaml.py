"""YAML with plain values only: everything that YAML reads in a surprising way is an error.

YAML 1.1 reads 0022 as 18, 22:22 as 1342 and 1_0 as 10, takes the last one of duplicate keys, and
lets a short text stand for billions of values. Numbers are decimal here. There are no anchors,
aliases and merge keys: hosts.yaml has `defaults` and `groups` for values that several hosts share.
For YAML, U+2028 and similar characters end a line, and so a comment. Editors and reviews do not
show that, so these characters are errors too.
"""

from __future__ import annotations

import re
from typing import Any

from opstasks.core.lines import hidden_sign

# Enough for some thousand hosts; a description of a backend has a few kB.
MOST_BYTES = 4 << 20
# libyaml's own composer crashes when a text nests some ten thousand levels.
MOST_LEVELS = 100
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
# Block collections nest by their indentation, at most two levels for each column.
_FAR_RIGHT = re.compile(rf"^[ ?:-]{{{MOST_LEVELS // 2}}}", re.MULTILINE)
_MERGE = "tag:yaml.org,2002:merge"


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; raises yaml.YAMLError, and ValueError for an impossible date."""
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    if len(text) > MOST_BYTES:
        raise yaml.YAMLError(f"longer than {MOST_BYTES >> 20} MiB")
    if found := hidden_sign(text):
        raise yaml.YAMLError(found)
    _refuse_depth(text, yaml, base)

    class Loader(base):  # type: ignore[misc, valid-type]
        """The safe loader, strict about keys and numbers."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        # Compares keys as written, not as values: this halves the time for a large hosts.yaml.
        keys = [(key.tag, str(key.value)) for key, _ in node.value]
        if len(set(keys)) < len(keys):
            name = next(value for tag, value in keys if keys.count((tag, value)) > 1)
            raise yaml.YAMLError(f"duplicate key {name!r}{node.start_mark}")
        if any(tag == _MERGE for tag, _ in keys):
            raise yaml.YAMLError(f"merge keys (<<) are not supported{node.start_mark}")
        return dict(base.construct_mapping(loader, node, deep=True))

    def number(shape: re.Pattern[str], kind: type[int] | type[float]) -> Any:
        def read(loader: Any, node: Any) -> int | float:
            written = str(loader.construct_scalar(node))
            if not shape.fullmatch(written):
                text = f"{written!r} is not a plain decimal number; quote it if it is a text"
                raise yaml.YAMLError(f"{text}{node.start_mark}")
            return kind(written)

        return read

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", number(_INT, int))
    Loader.add_constructor("tag:yaml.org,2002:float", number(_FLOAT, float))
    return yaml.load(text, Loader)  # noqa: S506 (a subclass of the safe loader)


def _refuse_depth(text: str, yaml: Any, base: Any) -> None:
    """Refuse deep nesting and aliases.

    Most texts cannot contain them, so their events are not examined.
    """
    is_flat = text.count("[") + text.count("{") <= MOST_LEVELS and not _FAR_RIGHT.search(text)
    if is_flat and "*" not in text and "&" not in text:
        return
    level = 0
    for event in yaml.parse(text, base):
        if getattr(event, "anchor", None):
            message = "anchors and aliases (&, *) are not supported; quote it if it is a text"
            raise yaml.YAMLError(f"{message}{event.start_mark}")
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise yaml.YAMLError(f"more than {MOST_LEVELS} levels{event.start_mark}")
