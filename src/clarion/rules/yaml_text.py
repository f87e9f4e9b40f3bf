"""YAML as configuration files use it: the core schema of YAML 1.2, so that `on` is a word and `22:00` a text.

JSON is YAML: both are read here, with the line and column of every value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml

MOST_VALUES = 200_000
"""Of one file. A few lines with aliases could else fill all memory."""
DEEPEST = 32
WIDEST = 1_000_000
"""A text stands on one line, so that a change of one word shows as that."""

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE, _FALSE = {"true", "True", "TRUE"}, {"false", "False", "FALSE"}
_ELSEWHERE = re.compile(
    r"(?i)y|n|yes|no|off|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9]*)?|[0-9_]{2,}|\d{4}-\d\d?-\d\d?.*"
)
"""Plain texts that YAML 1.1 reads as something else: they are written in quotes."""


_UNSEEN = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff]")
"""Characters that nobody sees: they are written as escapes."""


class Place(NamedTuple):
    """Where something stands in a file; both counted from 1."""

    line: int
    column: int


class YamlError(ValueError):
    """A file that cannot be read."""

    def __init__(self, detail: str, place: Place) -> None:
        super().__init__(detail)
        self.place = place


def read(text: str) -> tuple[Any, dict[str, Place]]:
    """The value, and the place of every part of it by JSON pointer. Raises YamlError."""
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        raise YamlError(_said(wrong, text), Place(1, 1) if mark is None else _place(mark)) from None
    except yaml.YAMLError as wrong:
        raise YamlError(str(wrong).partition("\n")[0], Place(1, 1)) from None
    if root is None:
        return {}, {"": Place(1, 1)}
    reader = _Reader()
    return reader.value(root, ()), reader.places


def written(value: Mapping[str, Any]) -> str:
    """YAML for people: blocks, texts of several lines as they are, in the order given."""
    return str(
        yaml.dump(
            value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=WIDEST, default_flow_style=False
        )
    )


def _said(wrong: yaml.MarkedYAMLError, text: str) -> str:
    mark, lines = wrong.problem_mark, text.split("\n")
    if (
        mark is not None
        and mark.line < len(lines)
        and lines[mark.line][mark.column : mark.column + 1] == "\t"
    ):
        return "a tab cannot indent YAML: use spaces"
    return f"this is not YAML: {(wrong.problem or 'it ends too early').strip()}"


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # in C where it was built so
    yaml_implicit_resolvers: dict[str, Any] = {}


class _Reader:
    """Makes values of nodes."""

    def __init__(self) -> None:
        self.places: dict[str, Place] = {}
        self._left = MOST_VALUES

    def value(self, node: yaml.Node, steps: tuple[str, ...]) -> Any:
        place = _place(node.start_mark)
        self._left -= 1
        if self._left < 0:
            raise YamlError(f"the file has more than {MOST_VALUES:,} values", place)
        if len(steps) > DEEPEST:
            raise YamlError(f"values are nested more than {DEEPEST} levels deep", place)
        self.places.setdefault(pointer(steps), place)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, steps)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(one, (*steps, str(index))) for index, one in enumerate(node.value)]
        return _scalar(node)

    def _mapping(self, node: yaml.MappingNode, steps: tuple[str, ...]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, inner in node.value:
            if not isinstance(name, yaml.ScalarNode):
                raise YamlError("the name of a field is a plain text", _place(name.start_mark))
            if name.value in found:
                raise YamlError(f"the field `{name.value}` stands twice: keep one", _place(name.start_mark))
            inside = (*steps, name.value)
            self.places[pointer(inside)] = _place(
                inner.start_mark if isinstance(inner, yaml.ScalarNode) else name.start_mark
            )
            self.places[f"{pointer(inside)}#"] = _place(name.start_mark)
            found[name.value] = self.value(inner, inside)
        return found


def _scalar(node: Any) -> Any:
    text: str = node.value
    if node.tag not in ("tag:yaml.org,2002:str", "?", "!"):
        raise YamlError(
            f"tags such as `{node.tag}` are not known here: leave it out", _place(node.start_mark)
        )
    if node.style or node.tag == "!":  # in quotes, or a block: a text
        return text
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    return float(text) if _FLOAT.fullmatch(text) else text


def pointer(steps: tuple[str, ...]) -> str:
    """The JSON pointer of these steps."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}
    """Those of YAML 1.2 are added below."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: Any, text: str) -> Any:
    style = None
    if _UNSEEN.search(text):
        style = '"'
    elif "\n" in text:
        style = "|"
    elif _means_else(text) or ("'" in text and text[0] in "{[" and '"' not in text):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _means_else(text: str) -> bool:
    plain = text in _NULL or text in _TRUE or text in _FALSE
    return plain or bool(_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text) or _ELSEWHERE.fullmatch(text))


_Dumper.add_representer(str, _text)
for _tag, _pattern, _first in (
    ("null", re.compile("~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("bool", re.compile("true|True|TRUE|false|False|FALSE"), [*"tTfF"]),
    ("int", _INTEGER, [*"-+0123456789"]),
    ("float", _FLOAT, [*"-+.0123456789"]),
):
    _Dumper.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern.pattern})$"), _first
    )
