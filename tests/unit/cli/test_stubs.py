"""Typed triggers: what `clarion types` makes of the data schemas of workflows."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner

from clarion.api.submissions import Trigger
from clarion.cli.main import program
from clarion.cli.stubs import data_types, python, typescript
from clarion.model.channel import Lane
from clarion.model.submission import Recipient
from tests.needs import DEEP, require_npm

ADDRESS = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
TREE = {"type": "object", "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}
SHIPPED = {
    "type": "object",
    "required": ["order", "items", "state"],
    "$defs": {"address": ADDRESS, "tree": TREE},
    "properties": {
        "order": {"type": "string", "description": "Its number"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "state": {"enum": ["sent", "lost"]},
        "to": {"$ref": "#/$defs/address"},
        "tree": {"$ref": "#/$defs/tree"},
        "arrives": {"type": ["string", "null"], "format": "date"},
        "x-ref": {"const": 1},
        "prices": {"type": "object", "additionalProperties": {"type": "number"}},
        "more": {},
    },
}
TOTAL = {"type": "object", "required": ["total"], "properties": {"total": {"type": "number"}}}
STEPS = [{"key": "b", "type": "branch", "cases": [{"steps": [{"key": "s", "template": "paid"}]}]}]
DOCUMENTS: dict[str, dict[str, Any]] = {
    "templates": {"paid": {"data_schema": TOTAL}},
    "workflows": {
        "order-shipped": {"name": "Order shipped", "data_schema": SHIPPED, "steps": STEPS},
        "class": {"steps": []},
        "2fa": {"data_schema": {"type": "object", "properties": {"code": {"type": "string"}}}},
    },
}
CALL = {
    "total": 1.5,
    "order": "A-1",
    "items": [{"sku": "x"}],
    "state": "sent",
    "arrives": None,
    "tree": {"parts": [{"parts": []}]},
}


def found() -> list[data_types.StubTrigger]:
    """The triggers of the documents above."""
    return list(data_types.triggers(DOCUMENTS))


def test_the_python_functions_make_the_bodies_of_triggers():
    """Names that Python or TypeScript cannot have are changed; the data of templates counts as well."""
    module: dict = {"__name__": "generated"}
    exec(compile(python.written(found()), "generated.py", "exec"), module)
    calls: list = []
    module["order_shipped"](lambda *call: calls.append(call), ["ada"], CALL, lane="high")
    module["class_"](lambda *call: calls.append(call), [{"topic": "all"}])
    assert calls == [
        ("order-shipped", {"recipients": ["ada"], "data": CALL, "lane": "high"}),
        ("class", {"recipients": [{"topic": "all"}], "data": {}}),
    ]
    assert {"OrderShippedData", "OrderShippedDataItemsItem", "OrderShippedDataTo"} <= {*module}
    assert "_2fa" in module


def test_the_options_are_those_of_the_api():
    """Whoever adds a field to triggers adds it here."""
    module: dict = {"__name__": "generated"}
    exec(compile(python.HEAD, "generated.py", "exec"), module)
    assert {"recipients", "data", *module["Options"].__annotations__} == {*Trigger.__struct_fields__}
    assert {"topic", "segment", "object", *module["User"].__annotations__} == {*Recipient.__struct_fields__}
    for head in (python.HEAD, typescript.HEAD):
        assert all(f'"{lane}"' in head for lane in Lane)


def test_the_same_schemas_give_the_same_code():
    """So a build that generates it again changes nothing."""
    turned = {
        "workflows": dict(reversed(DOCUMENTS["workflows"].items())),
        "templates": DOCUMENTS["templates"],
    }
    for language in (python, typescript):
        assert language.written(data_types.triggers(turned)) == language.written(found())


def test_typescript_tells_every_type():
    """Optional fields with `?`, lists that are not changed, names in quotes where they need them."""
    code = typescript.written(found())
    for line in (
        "  /** Its number */\n  order: string;\n",
        "  items: readonly OrderShippedDataItemsItem[];\n",
        '  state: "sent" | "lost";\n',
        "  arrives?: string | null;\n",
        '  "x-ref"?: 1;\n',
        "  prices?: Record<string, number>;\n",
        "  parts?: readonly OrderShippedDataTree[];\n",
        "export function orderShipped<T>(\n",
    ):
        assert line in code


def test_the_command_reads_a_folder(tmp_path):
    """Without a server; errors in it are told as by `plan`."""
    (tmp_path / "clarion.yaml").write_text("format: 1\n")
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows/paid.json").write_text(json.dumps({"data_schema": TOTAL}))
    done = CliRunner().invoke(program, ["types", "--language", "python", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "class PaidData(TypedDict):" in done.output
    (tmp_path / "workflows/paid.json").write_text("{")
    assert CliRunner().invoke(program, ["types", "--language", "python", str(tmp_path)]).exit_code == 6


@pytest.mark.skipif(not DEEP, reason="type checkers take seconds: HYPOTHESIS_PROFILE=deep")
def test_type_checkers_accept_the_code_and_refuse_wrong_data(tmp_path):
    """`mypy --strict` and `tsc --strict`."""
    tsc = require_npm("typescript", "the generated TypeScript is checked by its compiler") / "bin/tsc"
    (tmp_path / "generated.py").write_text(python.written(found()))
    (tmp_path / "generated.ts").write_text(typescript.written(found()))
    for name, data in (("right", CALL), ("wrong", {**CALL, "order": 7})):
        (tmp_path / f"{name}.py").write_text(
            "from generated import order_shipped\n"
            f"order_shipped(lambda workflow, body: workflow, ['ada'], {data}, lane='high')\n"
        )
        (tmp_path / f"{name}.ts").write_text(
            'import { orderShipped } from "./generated";\n'
            f"orderShipped((workflow) => workflow, ['ada'], {json.dumps(data)});\n"
        )
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path), "--config-file", ""]
    for checker, ending in ((mypy, "py"), ([str(tsc), "--strict", "--noEmit"], "ts")):
        for name in ("right", "wrong"):
            done = subprocess.run(
                [*checker, f"{name}.{ending}"],
                check=False,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=110,
            )
            assert (done.returncode == 0) == (name == "right"), done.stdout + done.stderr
