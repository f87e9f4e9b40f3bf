"""Errors in templates: a closed set of codes, and the exceptions that carry them."""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The kind of a finding. Codes are stable: programs may rely on them."""

    NO_CONTENT = "no_content"
    """The template has no channel, or a channel no locale."""
    LOCALE_TAG = "locale_tag"
    """A locale is no language tag, or the same language stands there twice."""
    MISSING_LOCALE = "missing_locale"
    """A channel lacks a locale that the tenant requires."""
    CHANNEL_IN_USE = "channel_in_use"
    """A workflow sends the template on a channel that it has no words for."""
    UNKNOWN_FIELD = "unknown_field"
    """The channel has no such field."""
    MISSING_FIELD = "missing_field"
    """A field the channel cannot do without is missing or blank."""
    SYNTAX = "syntax"
    """The source does not compile."""
    UNKNOWN_STATEMENT = "unknown_statement"
    """A statement that is not available."""
    UNKNOWN_FILTER = "unknown_filter"
    """A filter that is not available."""
    UNKNOWN_FUNCTION = "unknown_function"
    """A call of something that cannot be called."""
    UNKNOWN_TEST = "unknown_test"
    """A test (`is ...`) that is not available."""
    UNKNOWN_VARIABLE = "unknown_variable"
    """Neither `example_data` nor the schema nor Clarion has this name."""
    UNKNOWN_PARTIAL = "unknown_partial"
    """A layout or partial that does not exist."""
    PARTIAL_CYCLE = "partial_cycle"
    """A layout or partial that leads back to itself, or nests too deep."""
    LIMIT = "limit"
    """The source or what it gives is too big, or takes too many steps."""
    UNSAFE_PLACE = "unsafe_place"
    """A value is printed where no escaping makes it harmless, as in a script."""
    MJML = "mjml"
    """The MJML is broken."""
    DATA_SCHEMA = "data_schema"
    """The schema of the data is no JSON Schema, or one too big."""
    EXAMPLE_DATA = "example_data"
    """The example data do not satisfy the schema."""
    RENDERING = "rendering"
    """The example data cannot be rendered."""
    SMS_SEGMENTS = "sms_segments"
    """The example takes more segments than the tenant allows."""
    PUSH_SIZE = "push_size"
    """The example is bigger than push services take."""
    PUSH_DATA = "push_data"
    """`data` of the example has a name that push services keep for themselves."""
    IMAGE_ALT = "image_alt"
    """An image without alternative text."""
    CONTRAST = "contrast"
    """Text that is hard to read on its background (WCAG 2 AA)."""
    INSECURE_LINK = "insecure_link"
    """A link or image without https."""
    NO_UNSUBSCRIBE = "no_unsubscribe"
    """An email of a category people can opt out of, without a link to do so."""
    SMS_UNICODE = "sms_unicode"
    """Characters outside GSM-7 make the text message dearer."""
    LONG_SUBJECT = "long_subject"
    """Most mail programs cut the subject off."""
    BIG_HTML = "big_html"
    """Gmail clips the HTML."""
    DERIVED_TEXT = "derived_text"
    """The plain text is made from the HTML."""
    UNCHECKED = "unchecked"
    """There is nothing to check the names of variables against."""


class SourceRefused(Exception):
    """A source is not accepted; says why, where (an offset into it) and what to write instead."""

    def __init__(self, detail: str, at: int, code: Code = Code.SYNTAX) -> None:
        super().__init__(detail)
        self.detail = detail
        self.at = at
        self.code = code


class TemplateFaulty(Exception):
    """A field that is refused, does not compile, or cannot be rendered with this data. Never shows a value.

    `line` is a line of the field's source, or of the `partial` when one is named.
    """

    def __init__(
        self, detail: str, line: int | None = None, code: Code = Code.RENDERING, partial: str = ""
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.line = line
        self.code = code
        self.partial = partial
