"""Template languages of others, as ours: Liquid, Handlebars, and the double brackets of GOV.UK Notify."""

from __future__ import annotations

import re
from collections.abc import Mapping

Remarks = list[str]

FILTERS = {
    "upcase": "upper",
    "downcase": "lower",
    "size": "length",
    "strip": "trim",
    "escape": "escape",
    "default": "default",
    "join": "join",
    "first": "first",
    "last": "last",
    "capitalize": "capitalize",
    "json": "tojson",
    "url_encode": "urlencode",
}
"""Of Liquid; a filter that is not among them stays, and is told."""
USER_FIELDS = {"id": "id", "subscriberId": "id", "locale": "locale", "timezone": "timezone"}

_TAG = re.compile(r"\{%-?\s*(\w+)(.*?)-?%\}|\{\{-?(.*?)-?\}\}", re.DOTALL)
_BARS = re.compile(r"\{\{\{(.*?)\}\}\}|\{\{\s*([#/^]?)\s*(.*?)\}\}", re.DOTALL)
_BRACKETS = re.compile(r"\(\(([^()?]+?)(?:\?\?(.*?))?\)\)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*")


def liquid(text: str, roots: Mapping[str, str]) -> tuple[str, Remarks]:
    """Liquid. `roots`: what the first parts of names mean here, such as `recipient` -> `user`."""
    remarks: Remarks = []

    def replaced(found: re.Match[str]) -> str:
        word, rest, value = found[1], found[2], found[3]
        if value is not None:
            return f"{{{{ {_expression(value, roots, remarks)} }}}}"
        return _tag(word, rest.strip(), roots, remarks)

    return _TAG.sub(replaced, text), list(dict.fromkeys(remarks))


def _tag(word: str, rest: str, roots: Mapping[str, str], remarks: Remarks) -> str:
    expression = _expression(rest, roots, remarks)
    match word:
        case "if" | "elsif":
            return f"{{% {'elif' if word == 'elsif' else 'if'} {_condition(expression)} %}}"
        case "unless":
            return f"{{% if not ({_condition(expression)}) %}}"
        case "endunless":
            return "{% endif %}"
        case "assign":
            return f"{{% set {expression} %}}"
        case "for":
            return f"{{% for {expression} %}}"
        case "else" | "endif" | "endfor":
            return f"{{% {word} %}}"
        case "comment":
            return "{#"
        case "endcomment":
            return "#}"
    remarks.append(f"the Liquid tag `{word}` has no equal")
    return f"{{# {word} {rest} #}}"


def _expression(text: str, roots: Mapping[str, str], remarks: Remarks) -> str:
    """A value with its filters."""
    value, *filters = _split(text)
    parts = [_names(value, roots)]
    for one in filters:
        name, _, arguments = one.partition(":")
        name = name.strip()
        if name not in FILTERS:
            remarks.append(f"the Liquid filter `{name}` is not known: check it")
        given = ", ".join(_names(part.strip(), roots) for part in arguments.split(",")) if arguments else ""
        parts.append(f"{FILTERS.get(name, name)}({given})" if given else FILTERS.get(name, name))
    return "|".join(parts).strip()


def _split(text: str) -> list[str]:
    """At the bars outside of quotes."""
    return [part.strip() for part in re.split(r"\|(?=(?:[^\"']*[\"'][^\"']*[\"'])*[^\"']*$)", text.strip())]


def _names(text: str, roots: Mapping[str, str]) -> str:
    """The value with names as they are called here; texts in quotes stay."""
    pieces = re.split(r"(\"[^\"]*\"|'[^']*')", text)
    return "".join(piece if number % 2 else _renamed(piece, roots) for number, piece in enumerate(pieces))


def _renamed(text: str, roots: Mapping[str, str]) -> str:
    def name(found: re.Match[str]) -> str:
        root, _, rest = found[0].partition(".")
        meant = roots.get(root)
        if meant == "user":
            field = rest.split(".")[0]
            return (
                f"user.{USER_FIELDS[field]}"
                if field in USER_FIELDS
                else f"user.attributes.{rest}"
                if rest
                else "user.id"
            )
        return ".".join(filter(None, (meant, rest))) if meant is not None else found[0]

    return re.sub(r"(?<![\w.])[A-Za-z_]\w*(?:\.\w+)*", name, text)


def _condition(text: str) -> str:
    return re.sub(r"\bcontains\b", "in", text) if " contains " not in text else _contains(text)


def _contains(text: str) -> str:
    """`a contains b` -> `b in a`."""
    return re.sub(r"(\S+)\s+contains\s+(\S+)", r"\2 in \1", text)


def handlebars(text: str, roots: Mapping[str, str]) -> tuple[str, Remarks]:
    """Handlebars, as far as its own helpers go."""
    remarks: Remarks = []
    open_blocks: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        if found[1] is not None:
            return f"{{{{ {_names(found[1].strip(), roots)}|safe }}}}"
        sign, inner = found[2], found[3].strip()
        word, _, rest = inner.partition(" ")
        value = _names(rest.strip(), roots)
        if sign == "#":
            open_blocks.append(word)
            if word == "if":
                return f"{{% if {value} %}}"
            if word == "unless":
                return f"{{% if not {value} %}}"
            if word == "each":
                remarks.append("inside `each`, write fields of an item as `this.NAME`")
                return f"{{% for this in {value} %}}"
            remarks.append(f"the Handlebars helper `{word}` has no equal")
            return f"{{# {inner} #}}"
        if sign == "/":
            block = open_blocks.pop() if open_blocks else word
            return {"if": "{% endif %}", "unless": "{% endif %}", "each": "{% endfor %}"}.get(
                block, f"{{# end {word} #}}"
            )
        if inner == "else":
            return "{% else %}"
        if rest:
            remarks.append(f"the Handlebars helper `{word}` has no equal")
            return f"{{# {inner} #}}"
        return f"{{{{ {_names(inner.replace('@index', 'loop.index0'), roots)} }}}}"

    return _BARS.sub(replaced, text), list(dict.fromkeys(remarks))


def double_brackets(text: str) -> tuple[str, dict[str, bool]]:
    """`((name))` and `((late??Sorry.))`; with the names, and whether each is always needed."""
    needed: dict[str, bool] = {}

    def replaced(found: re.Match[str]) -> str:
        name, then = found[1].strip(), found[2]
        needed[name] = needed.get(name, False) or then is None
        value = f"data.{name}" if _NAME.fullmatch(name) else f'data["{name}"]'
        if then is None:
            return f"{{{{ {value} }}}}"
        return f'{{% if {value} in ["yes", "true", true] %}}{then}{{% endif %}}'

    return _BRACKETS.sub(replaced, text), needed
