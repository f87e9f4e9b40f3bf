"""Layouts and partials: a source and what it extends and includes become one source, before anything is compiled.

So the engine never resolves a name, a partial is escaped like the field that uses it, the limits of the sandbox hold
for what really runs, and no template can reach one it does not name.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from clarion.content.sanitize import clean
from clarion.content.templates.errors import Code, SourceRefused, TemplateFaulty
from clarion.content.templates.sandbox import MAX_SOURCE, Tag, nearest, tags

MAX_DEPTH = 16
"""Layouts, partials and blocks inside one another."""


class Span(NamedTuple):
    """From `start` on, the woven text is that of `key` (empty: the field itself) from its offset `origin` on."""

    start: int
    key: str
    origin: int


class ResolvedSource:
    """One source made of several, which knows where every part of it comes from."""

    def __init__(self, text: str, spans: list[Span], sources: Mapping[str, str]) -> None:
        self.text = text
        self.sources = sources
        """By key; the field itself under the empty one."""
        self._spans = spans

    def fault(self, detail: str, at: int | None, code: Code) -> TemplateFaulty:
        """A fault at the offset `at` of the text, told in the line of the source it comes from."""
        if at is None:
            return TemplateFaulty(detail, None, code)
        _, key, origin = self._origin(at)
        return TemplateFaulty(detail, self.sources[key].count("\n", 0, origin) + 1, code, key)

    def splice(self, edits: Iterable[tuple[int, int, str]]) -> ResolvedSource:
        """With `edits` made, in order: from an offset to another, the text becomes this."""
        made = list(edits)
        if not made:
            return self
        pieces: list[str] = []
        spans: list[Span] = []
        position = length = 0
        for start, end, piece in [*made, (len(self.text), len(self.text), "")]:
            shift = length - position
            spans.append(self._origin(position)._replace(start=length))
            spans += [s._replace(start=s.start + shift) for s in self._spans if position < s.start < start]
            pieces += (self.text[position:start], piece)
            spans.append(self._origin(start)._replace(start=start + shift))
            position, length = end, start + shift + len(piece)
        return ResolvedSource("".join(pieces), spans, self.sources)

    def pieces(self, parts: Iterable[tuple[str, int | None]]) -> ResolvedSource:
        """Another text that takes `parts` from here: each with the offset it comes from, None for what is new."""
        texts: list[str] = []
        spans = [Span(0, "", 0)]
        length = 0
        for text, at in parts:
            if at is not None:
                spans.append(self._origin(at)._replace(start=length))
                inner = [s for s in self._spans if at < s.start < at + len(text)]
                spans += [s._replace(start=s.start - at + length) for s in inner]
            texts.append(text)
            length += len(text)
        return ResolvedSource("".join(texts), spans, self.sources)

    def _origin(self, at: int) -> Span:
        """Where the text from `at` on comes from."""
        span = self._spans[max(bisect_right(self._spans, at, key=lambda span: span.start) - 1, 0)]
        return Span(at, span.key, max(span.origin + at - span.start, 0))


class Block:
    """A named part of a layout: the tags around it and what is inside."""

    def __init__(self, name: str, opening: str) -> None:
        self.name = name
        self.opening = opening
        self.closing = ""
        self.inside: list[Node] = []


class Include(NamedTuple):
    """The place of a partial."""

    key: str
    at: int
    written: str


class Super(NamedTuple):
    """The place of what the block was before it was replaced."""

    at: int
    written: str


class Plain(NamedTuple):
    """Text and ordinary tags as they stand in the source."""

    start: int
    end: int


Node = Block | Include | Super | Plain


class SourceMap:
    """A source read for its structure."""

    def __init__(self, key: str, source: str) -> None:
        self.key = key
        self.source = source
        self.parent: Include | None = None
        self.nodes: list[Node] = []
        self.blocks: dict[str, Block] = {}
        self.sets: list[Plain] = []
        """`set` tags outside blocks: what a child hands to its layout."""
        self._read()

    @property
    def references(self) -> Iterator[Include]:
        """The layout and the partials it names, also those inside blocks."""
        if self.parent:
            yield self.parent
        for nodes in (self.nodes, *(block.inside for block in self.blocks.values())):
            yield from (node for node in nodes if isinstance(node, Include))

    def _read(self) -> None:
        open_blocks: list[Block] = []
        nodes, position = self.nodes, 0
        for tag in tags(self.source):
            plain = not (tag.is_statement("extends", "include", "block", "endblock") or _is_super(tag))
            if plain:
                if not open_blocks:
                    self._outside(tag)
                continue
            if position < tag.start:
                nodes.append(Plain(position, tag.start))
            position = tag.end
            written = self.source[tag.start : tag.end]
            match tag.tokens[0]:
                case "extends":
                    self._extend(tag, written, started=bool(self.blocks) or any(map(self._shows, nodes)))
                case "include":
                    nodes.append(Include(_key(tag), tag.start, written))
                case "block":
                    open_blocks.append(self._block(tag, written))
                    nodes.append(open_blocks[-1])
                    nodes = open_blocks[-1].inside
                case "endblock":
                    if not open_blocks:
                        raise SourceRefused("`endblock` without a block that is open here", tag.start)
                    open_blocks.pop().closing = written
                    nodes = open_blocks[-1].inside if open_blocks else self.nodes
                case _:
                    nodes.append(Super(tag.start, written))
        if open_blocks:
            raise SourceRefused(f"the block `{open_blocks[-1].name}` has no `endblock`", len(self.source))
        end = len(self.source) - self.source.endswith("\n")
        if position < end:
            nodes.append(Plain(position, end))

    def _outside(self, tag: Tag) -> None:
        """A tag outside blocks: with a layout, only `set` has any effect there."""
        if tag.is_statement("set"):
            self.sets.append(Plain(tag.start, tag.end))
        elif self.parent and tag.tokens:
            raise SourceRefused(
                "a template with `extends` may have only `set` and blocks here: move this into a block",
                tag.start,
            )

    def _shows(self, node: Node) -> bool:
        return not isinstance(node, Plain) or bool(self.source[node.start : node.end].strip())

    def _extend(self, tag: Tag, written: str, *, started: bool) -> None:
        if self.parent or started:
            raise SourceRefused("`extends` may appear only once, at the very beginning", tag.start)
        self.parent = Include(_key(tag), tag.start, written)

    def _block(self, tag: Tag, written: str) -> Block:
        if len(tag.tokens) != 2 or not tag.tokens[1].isidentifier():
            raise SourceRefused("a block needs a name: `{% block content %}`", tag.start)
        name = tag.tokens[1]
        if name in self.blocks:
            raise SourceRefused(f"there are two blocks `{name}`", tag.start)
        self.blocks[name] = Block(name, written)
        return self.blocks[name]


Definition = tuple[SourceMap, Block]


class InheritanceResolver:
    """Puts one field's source together."""

    def __init__(self, source: str, partials: Mapping[str, str]) -> None:
        self._partials = partials
        self.sources: dict[str, str] = {"": source}
        self._sheets: dict[str, SourceMap] = {}
        self._pieces: list[str] = []
        self._spans: list[Span] = []
        self._length = 0

    def resolve(self) -> ResolvedSource:
        """The whole. Raises Faulty where a source names something that is not there, or itself."""
        self._document("", None, ())
        return ResolvedSource("".join(self._pieces), self._spans or [Span(0, "", 0)], self.sources)

    def _document(self, key: str, place: tuple[SourceMap, Include] | None, above: tuple[str, ...]) -> None:
        """The source `key` with its layouts."""
        parsed = self._open(key, place, above)
        chain: dict[str, list[Definition]] = {}
        while True:
            for name, block in parsed.blocks.items():
                chain.setdefault(name, []).append((parsed, block))
            above = (*above, parsed.key)
            if parsed.parent is None:
                break
            for node in parsed.sets:
                self._copy(parsed, node.start, node.end)
            parsed = self._open(parsed.parent.key, (parsed, parsed.parent), above)
        self._nodes(parsed, parsed.nodes, chain, (), above)

    def _open(self, key: str, place: tuple[SourceMap, Include] | None, above: tuple[str, ...]) -> SourceMap:
        if place:
            parsed, include = place
            if key in above:
                path = " -> ".join(f"`{k}`" for k in (*above[above.index(key) :], key) if k)
                raise self._fault(
                    parsed, f"partials lead in a circle: {path}", include.at, Code.PARTIAL_CYCLE
                )
            if len(above) > MAX_DEPTH:
                raise self._too_deep(parsed, include.at)
            if key not in self._partials:
                there = nearest(key, self._partials) if self._partials else "there are none"
                detail = f"there is no partial `{key}`; {there}"
                raise self._fault(parsed, detail, include.at, Code.UNKNOWN_PARTIAL)
            self.sources[key] = clean(self._partials[key])
        if key not in self._sheets:
            self._sheets[key] = read(key, self.sources[key])
        return self._sheets[key]

    def _nodes(
        self,
        parsed: SourceMap,
        nodes: list[Node],
        chain: dict[str, list[Definition]],
        former: tuple[Definition, ...],
        above: tuple[str, ...],
    ) -> None:
        """Copies `nodes`; `former` are the definitions that `super()` means here, the nearest first."""
        for node in nodes:
            match node:
                case Plain(start, end):
                    self._copy(parsed, start, end)
                case Include(key, at, written):
                    self._write(_scope("with", written, at_end=False), parsed, at)
                    self._document(key, (parsed, node), above)
                    self._write(_scope("endwith", written, at_start=False), parsed, at)
                case Super(at, written):
                    if not former:
                        raise self._fault(parsed, "there is nothing that `super()` could mean here", at)
                    self._write(_scope("with", written, at_end=False), parsed, at)
                    self._inside(former, chain, above, (parsed, at))
                    self._write(_scope("endwith", written, at_start=False), parsed, at)
                case Block():
                    self._block(parsed, node, chain, above)

    def _block(
        self, parsed: SourceMap, block: Block, chain: dict[str, list[Definition]], above: tuple[str, ...]
    ) -> None:
        """The newest definition of `block`, inside the outer whitespace of its place."""
        definitions = chain[block.name]
        at = parsed.source.find(block.opening)
        own = definitions[0][1]
        self._write(_marked("with", block.opening, own.opening), parsed, at)
        self._inside(tuple(definitions), chain, above, (parsed, at))
        self._write(_marked("endwith", own.closing, block.closing), parsed, at)

    def _inside(
        self,
        definitions: tuple[Definition, ...],
        chain: dict[str, list[Definition]],
        above: tuple[str, ...],
        place: tuple[SourceMap, int],
    ) -> None:
        if len(above) > MAX_DEPTH:
            raise self._too_deep(*place)
        parsed, block = definitions[0]
        # Blocks count for the depth; an empty key is never what a partial could lead back to.
        self._nodes(parsed, block.inside, chain, definitions[1:], (*above, ""))

    def _copy(self, parsed: SourceMap, start: int, end: int) -> None:
        self._write(parsed.source[start:end], parsed, start)

    def _write(self, text: str, parsed: SourceMap, origin: int) -> None:
        self._spans.append(Span(self._length, parsed.key, origin))
        self._pieces.append(text)
        self._length += len(text)
        if self._length > MAX_SOURCE:
            detail = f"with its partials it has more than {MAX_SOURCE} characters"
            raise self._fault(parsed, detail, origin, Code.LIMIT)

    def _too_deep(self, parsed: SourceMap, at: int) -> TemplateFaulty:
        return self._fault(
            parsed, f"more than {MAX_DEPTH} partials and blocks inside one another", at, Code.PARTIAL_CYCLE
        )

    def _fault(self, parsed: SourceMap, detail: str, at: int, code: Code = Code.SYNTAX) -> TemplateFaulty:
        return TemplateFaulty(detail, parsed.source.count("\n", 0, at) + 1, code, parsed.key)


def read(key: str, source: str) -> SourceMap:
    """The structure of the partial `key` (empty: a field). Raises Faulty with the line where it is broken."""
    try:
        return SourceMap(key, source)
    except SourceRefused as refused:
        raise TemplateFaulty(
            refused.detail, source.count("\n", 0, refused.at) + 1, refused.code, key
        ) from None


def resolve(source: str, partials: Mapping[str, str]) -> ResolvedSource:
    """`source` with everything it extends and includes. Raises Faulty with the line, in the field or the partial."""
    source = clean(source)
    if not any(word in source for word in ("extends", "include", "block", "super")):
        return ResolvedSource(source.removesuffix("\n"), [Span(0, "", 0)], {"": source})
    return InheritanceResolver(source, partials).resolve()


def _is_super(tag: Tag) -> bool:
    return tag.opening == "{{" and tag.tokens == ["super", "(", ")"]


def _key(tag: Tag) -> str:
    match tag.tokens:
        case [_, name] if name[0] in "\"'" and len(name) > 2:
            return name[1:-1]
    word = tag.tokens[0]
    raise SourceRefused(
        f'`{word}` needs the key of a partial in quotes: `{{% {word} "footer" %}}`', tag.start
    )


def _scope(word: str, written: str, *, at_start: bool = True, at_end: bool = True) -> str:
    """A tag with the whitespace marks of `written` at the sides named."""
    return _marked(word, written if at_start else "", written if at_end else "")


def _marked(word: str, left: str, right: str) -> str:
    before = left[2:3] if left[2:3] in ("-", "+") else ""
    after = right[-3:-2] if right[-3:-2] in ("-", "+") else ""
    return f"{{%{before} {word} {after}%}}"
