"""Files go out and come back under their own names."""

import pytest

from clarion.cli import translations
from clarion.cli.translations import MEDIA_TYPES, FileFormat, _language
from clarion.errors import ConfigError
from clarion.services import translations as flow


def test_the_command_line_and_the_server_speak_of_the_same_formats():
    """The command line knows them without loading the engine."""
    assert {form.value: MEDIA_TYPES[form] for form in FileFormat} == {
        form.value: form.media_type for form in flow.Format
    }
    assert set(translations.SUFFIXES.values()) == set(FileFormat)


def test_a_file_names_its_own_language(tmp_path):
    """As gettext writes it, and as the web does."""
    assert _language(FileFormat.PO, b'msgid ""\nmsgstr "Language: pt_BR\\n"\n', tmp_path / "a.po") == "pt-BR"


@pytest.mark.parametrize(
    ("content", "said"), [(b'msgid ""\nmsgstr ""\n', "--locale"), (b"?", "line 1: this is not PO")]
)
def test_a_file_that_does_not_is_refused(tmp_path, content, said):
    """With its name."""
    with pytest.raises(ConfigError, match=said):
        _language(FileFormat.PO, content, tmp_path / "a.po")
