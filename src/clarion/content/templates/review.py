"""Reviews a template before it is published: errors and advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from clarion.content.html.markup import remarks
from clarion.content.localise.locales import canonical
from clarion.content.renderer import text_message
from clarion.content.sms.segmentation import GSM, advice, segments
from clarion.content.templates.compiled_channel import CompiledChannel
from clarion.content.templates.diagnostics import Finding, Severity
from clarion.content.templates.engine import Engine
from clarion.content.templates.errors import Code, TemplateFaulty
from clarion.content.templates.fields import FieldKind
from clarion.content.templates.inheritance import ResolvedSource
from clarion.content.templates.partials import pointer_to
from clarion.content.templates.sandbox import paths, tags
from clarion.content.templates.scope import HOUSE, voice
from clarion.content.templates.variables import Shape, unknown
from clarion.model.channel import Channel
from clarion.model.content import AnyContent, EmailContent, PushContent, SmsContent
from clarion.model.ids import Instant, TenantId, UserNo
from clarion.model.push import MOST_BYTES, push_bytes, reserved_names
from clarion.model.setup import Template, Tenant
from clarion.model.user import Profile, User

SUBJECT_CHARACTERS = 78
"""What mail programs on a wide screen show of a subject, and the line length that RFC 5322 section 2.1.1 recommends."""
HTML_BYTES = 102 * 1024
"""Gmail shows no more of a message, with a link to the rest."""
EXAMPLE_TIME = Instant(1_767_225_600_000)
"""2026-01-01: relative times in an example are told from here."""


class AnyAttribute:
    """Stands for the attributes of a person we do not know: every name has a text."""

    def __getitem__(self, name: str) -> str:
        return name


def review(template: Template, tenant: Tenant, *, opt_out: bool = False) -> Sequence[Finding]:
    """All findings of all fields; the template may be used when none is an error.

    `template.partials` are the partials it may use; `opt_out` says that people can leave the category it is sent in.
    Every source is compiled. When there are `example_data`, every source is also rendered with them.
    """
    findings = [*_structure(template), *_required(template, tenant)]
    engine = Engine()
    engine.reader.now = EXAMPLE_TIME
    unchecked = False
    for channel, locales in template.channels.items():
        for locale in locales:
            variant = CompiledChannel(engine, template, channel, locale)
            inspection = Inspection(engine, template, tenant, variant)
            findings += inspection.findings(opt_out=opt_out)
            unchecked = unchecked or inspection.is_unchecked
            variant.forget()
    if unchecked:
        detail = (
            "without `example_data` or a schema the names of variables cannot be checked: give an example"
        )
        findings.append(_finding(Severity.NOTE, Code.UNCHECKED, "#/example_data", detail))
    return list(dict.fromkeys(findings))


def errors(template: Template) -> Sequence[Finding]:
    """What keeps `template` from being used, whoever's it is."""
    anyone = Tenant(id=TenantId(0), key="")
    return [finding for finding in review(template, anyone) if finding.severity is Severity.ERROR]


class Inspection:
    """One channel in one locale, looked at from all sides."""

    def __init__(self, engine: Engine, template: Template, tenant: Tenant, variant: CompiledChannel) -> None:
        self._engine = engine
        self._template = template
        self._tenant = tenant
        self._variant = variant
        schema = template.data_schema
        self._data = Shape((template.example_data,), (schema,) if schema else ())

    @property
    def is_unchecked(self) -> bool:
        """Whether it uses the event's data, of which nothing is known."""
        return not self._data.names() and any(
            name == "data" or name not in HOUSE
            for field in self._variant.fields
            for name in self._engine.undeclared(field.compiled)
        )

    def findings(self, *, opt_out: bool) -> list[Finding]:
        """What there is to say, errors first."""
        found = [self._fault(field, fault) for field, fault in self._variant.faults]
        found += self._unknown_variables()
        content, faults = self._example()
        known = {(finding.pointer, finding.code) for finding in found}
        brought = [self._fault(field, fault) for field, fault in faults]
        found += [finding for finding in brought if (finding.pointer, finding.code) not in known]
        found += self._markup()
        match content:
            case EmailContent():
                found += self._email(content)
            case SmsContent():
                found += self._sms(content)
            case PushContent():
                found += self._push(content)
        if self._variant.channel is Channel.EMAIL and opt_out:
            found += self._unsubscribe()
        return found

    def _example(self) -> tuple[AnyContent | None, list[tuple[str, TemplateFaulty]]]:
        """The content for the example data, or what is wrong with it; without data, only what needs none."""
        variant, locale = self._variant, self._variant.locale
        if variant.fields and not self._template.example_data:
            stand_in = {**variant.constants, **{field.name: "?" for field in variant.fields}}
            lacking = "" if variant.faults else variant.layout.lacks(stand_in)
            return None, [("", TemplateFaulty(lacking, code=Code.MISSING_FIELD))] if lacking else []
        reader = self._engine.reader
        reader.locale, reader.timezone = locale, "UTC"
        user = User(
            no=UserNo(1),
            tenant=self._tenant.id,
            id="example",
            key=b"",
            profile=Profile(locale=locale, timezone="UTC"),
        )
        context = variant.scope.context(
            self._template.example_data,
            user,
            self._tenant,
            voice(locale, locale),
            "https://example.com/unsubscribe",
        )
        if "attributes" in context.get("user", ()):
            context["user"]["attributes"] = AnyAttribute()
        return variant.try_out(context)

    def _unknown_variables(self) -> Iterator[Finding]:
        for field in self._variant.fields:
            undeclared = self._engine.undeclared(field.compiled)
            for at, detail in unknown(field.source.text, undeclared, self._data):
                yield self._fault(field.written, field.source.fault(detail, at, Code.UNKNOWN_VARIABLE))

    def _markup(self) -> Iterator[Finding]:
        """Of HTML and MJML as they are written, so that every remark has its line; and of plain links."""
        for name, source in self._sound():
            kind = self._variant.layout.kinds[name]
            if kind in (FieldKind.HTML, FieldKind.MJML):
                for remark in remarks(source.text, contrast=kind is FieldKind.HTML):
                    fault = source.fault(remark.detail, remark.at, remark.code)
                    yield self._fault(name, fault, Severity.WARNING)
            elif (at := source.text.lower().find("http://")) >= 0:
                fault = source.fault("a link starts with http: write https", at, Code.INSECURE_LINK)
                yield self._fault(name, fault, Severity.WARNING)
        for field in self._variant.fields:
            if (field.name, field.written) == ("html", "mjml"):
                for remark in remarks(field.source.text):
                    if remark.code is Code.CONTRAST:
                        yield self._fault(
                            "mjml", TemplateFaulty(remark.detail, code=remark.code), Severity.WARNING
                        )

    def _sound(self) -> Iterator[tuple[str, ResolvedSource]]:
        """The sources whose tags can be told from their text: a fault is said of the others already."""
        faulty = {name for name, _ in self._variant.faults}
        return ((name, source) for name, source in self._variant.sources.items() if name not in faulty)

    def _email(self, content: EmailContent) -> Iterator[Finding]:
        if len(content.subject) > SUBJECT_CHARACTERS:
            detail = (
                f"the subject has {len(content.subject)} characters: most mail programs cut it off after "
                f"{SUBJECT_CHARACTERS}, on a phone after about 40"
            )
            yield self._said(Severity.WARNING, Code.LONG_SUBJECT, "subject", detail)
        field = "mjml" if "mjml" in self._variant.sources else "html"
        if (size := len(content.html.encode())) > HTML_BYTES:
            detail = f"the HTML has {size // 1024} KB: Gmail clips a message after {HTML_BYTES // 1024} KB"
            yield self._said(Severity.WARNING, Code.BIG_HTML, field, detail)
        if self._variant.derives:
            detail = "the plain text is made from the HTML: write `text` to word it yourself"
            yield self._said(Severity.NOTE, Code.DERIVED_TEXT, field, detail)

    def _sms(self, content: SmsContent) -> Iterator[Finding]:
        tenant = self._tenant
        text = text_message(content, tenant).text
        most = tenant.sms_segments
        count = segments(text).count
        if most and count > most:
            detail = f"the example takes {count} segments, the tenant allows {most}: shorten it"
            yield self._said(Severity.ERROR, Code.SMS_SEGMENTS, "text", detail)
        if detail := advice(text):
            source = self._variant.sources["text"]
            at = _first_outside(source)
            fault = source.fault(detail, at, Code.SMS_UNICODE)
            yield self._fault("text", fault, Severity.WARNING)

    def _push(self, content: PushContent) -> Iterator[Finding]:
        if content.live is not None and content.live.content_state is None:
            content = replace(content, live=replace(content.live, content_state=self._template.example_data))
        if (size := push_bytes(content)) > MOST_BYTES:
            detail = (
                f"the example takes {size:,} bytes of JSON, push services take {MOST_BYTES:,}: shorten it"
            )
            yield self._said(Severity.ERROR, Code.PUSH_SIZE, "", detail)
        for name in reserved_names(content.data):
            detail = f"`{name}` is a name that push services keep for themselves: give it another one"
            yield self._said(Severity.ERROR, Code.PUSH_DATA, "data", detail)

    def _unsubscribe(self) -> Iterator[Finding]:
        if not any(("unsubscribe_url", "") in paths(source.text) for _, source in self._sound()):
            detail = "people can leave this category, and the email does not say where: link to `{{ unsubscribe_url }}`"
            yield self._said(Severity.WARNING, Code.NO_UNSUBSCRIBE, "", detail)

    def _fault(self, field: str, fault: TemplateFaulty, severity: Severity = Severity.ERROR) -> Finding:
        pointer = pointer_to(self._variant.channel, self._variant.locale, field, fault)
        return _finding(severity, fault.code, pointer, fault.detail, fault.line)

    def _said(self, severity: Severity, code: Code, field: str, detail: str) -> Finding:
        return self._fault(field, TemplateFaulty(detail, code=code), severity)


def _finding(severity: Severity, code: Code, pointer: str, detail: str, line: int | None = None) -> Finding:
    return Finding(severity=severity, code=code, pointer=pointer, line=line, detail=detail)


def _first_outside(source: ResolvedSource) -> int | None:
    """Where the first character outside GSM-7 stands that the author wrote; None when the data bring it."""
    for tag in tags(source.text):
        for number, character in enumerate(tag.text):
            if character not in GSM:
                return tag.start - len(tag.text) + number
    return None


def _structure(template: Template) -> Iterator[Finding]:
    """Channels and locales as such."""
    error = Severity.ERROR
    if not template.channels:
        detail = "a template needs content for at least one channel"
        yield _finding(error, Code.NO_CONTENT, "#/channels", detail)
    if not canonical(template.default_locale):
        detail = "not a language tag like `en` or `pt-BR`"
        yield _finding(error, Code.LOCALE_TAG, "#/default_locale", detail)
    for channel, locales in template.channels.items():
        if not locales:
            detail = "needs at least one locale, like `en`"
            yield _finding(error, Code.NO_CONTENT, f"#/channels/{channel}", detail)
        seen: dict[str, str] = {}
        for locale in locales:
            pointer = pointer_to(channel, locale, "")
            tag = canonical(locale)
            if not tag:
                detail = f"`{locale}` is not a language tag like `en` or `pt-BR`"
                yield _finding(error, Code.LOCALE_TAG, pointer, detail)
            elif tag in seen:
                detail = f"the same language as `{seen[tag]}`: keep one of them"
                yield _finding(error, Code.LOCALE_TAG, pointer, detail)
            seen[tag] = locale


def _required(template: Template, tenant: Tenant) -> Iterator[Finding]:
    """Locales that the tenant wants everything in."""
    for channel, locales in template.channels.items():
        there = {canonical(locale) for locale in locales}
        for locale in tenant.required_locales:
            if (canonical(locale) or locale) not in there:
                detail = f"the locale `{locale}` is missing: every template of this tenant must have it"
                yield _finding(Severity.ERROR, Code.MISSING_LOCALE, f"#/channels/{channel}", detail)
