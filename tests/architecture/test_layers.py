"""Arrows point down, and these tests say so."""

from importlinter import api, cli

from tests.architecture.house import PACKAGE, ROOT, shown, sources

CONFIG = str(ROOT / "pyproject.toml")


def test_every_import_contract_is_kept(capsys, monkeypatch):
    """The layers of the house hold, whoever imports whom."""
    monkeypatch.chdir(ROOT)
    code = cli.lint_imports(config_filename=CONFIG, cache_dir=".cache/imports", no_logo=True)
    assert code == 0, capsys.readouterr().out


def test_no_contract_has_an_exception():
    """A contract with ignored imports is a wish: the house has none, and its layers are exhaustive."""
    contracts = api.read_configuration(CONFIG)["contracts_options"]
    assert [c["name"] for c in contracts if c.get("ignore_imports") or c.get("exhaustive_ignores")] == []
    assert [c["exhaustive"] for c in contracts if c["type"] == "layers"] == ["True"]


def test_the_environment_is_read_in_one_place():
    """Settings come from `clarion.config`, read once by the composition root."""
    found = [
        shown(path, number)
        for path in sources()
        if path != PACKAGE / "config.py"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "os.environ" in line or "os.getenv" in line
    ]
    assert found == []
