"""What importers make of exports of other systems, and what they say has no equal. The samples have the vendors' shapes."""

from __future__ import annotations

import gzip
import json

import pytest

from clarion.cli.exit_codes import Exit
from clarion.cli.folder import reading
from clarion.cli.importers import dialects

LOUD = {
    "value": "AND",
    "children": [{"on": "payload", "field": "loud", "operator": "EQUAL", "value": "true"}],
}
NOVU = {
    "data": [
        {
            "_id": "64a1",
            "name": "New comment",
            "active": True,
            "critical": False,
            "tags": ["social"],
            "preferenceSettings": {"email": True, "sms": False, "in_app": True, "chat": True, "push": True},
            "triggers": [{"type": "event", "identifier": "new-comment", "variables": [{"name": "author"}]}],
            "steps": [
                {
                    "active": True,
                    "template": {
                        "type": "in_app",
                        "content": "{{author}} wrote to {{subscriber.firstName}}",
                        "cta": {"type": "redirect", "data": {"url": "https://shop.example/{{post.id}}"}},
                    },
                    "filters": [LOUD],
                },
                {
                    "template": {"type": "delay"},
                    "metadata": {"type": "regular", "amount": 2, "unit": "hours"},
                },
                {
                    "template": {"type": "digest"},
                    "metadata": {"amount": 5, "unit": "minutes", "digestKey": "post"},
                },
                {
                    "template": {
                        "type": "email",
                        "subject": "New comment",
                        "contentType": "customHtml",
                        "content": "{{#if author}}<p>{{author}}</p>{{/if}}{{#each items}}<i>{{this.name}}</i>{{/each}}",
                    },
                    "filters": [LOUD],
                },
                {"template": {"type": "throttle"}, "metadata": {"amount": 1, "unit": "days"}},
            ],
        },
        {
            "workflowId": "order-shipped",
            "name": "Order shipped",
            "payloadSchema": {"type": "object", "properties": {"order": {"type": "string"}}},
            "steps": [
                {
                    "name": "Text",
                    "type": "sms",
                    "controlValues": {
                        "body": "Order {{payload.order | upcase}} is on its way",
                        "skip": {"==": [1, 1]},
                    },
                }
            ],
        },
    ]
}
KNOCK = {
    "name": "Invite",
    "categories": ["collaboration"],
    "trigger_data_json_schema": {"type": "object", "properties": {"team": {"type": "string"}}},
    "steps": [
        {"ref": "delay_1", "type": "delay", "settings": {"delay_for": {"unit": "seconds", "value": 30}}},
        {"ref": "fetch_1", "type": "http_fetch", "settings": {"method": "get", "url": "https://example.com"}},
        {"ref": "batch_1", "type": "batch", "settings": {"batch_window": {"unit": "minutes", "value": 5}}},
        {
            "ref": "branch_1",
            "type": "branch",
            "branches": [
                {
                    "name": "Paying",
                    "conditions": {
                        "all": [{"variable": "recipient.plan", "operator": "equal_to", "argument": "pro"}]
                    },
                    "steps": [
                        {
                            "ref": "email_1",
                            "type": "channel",
                            "channel_key": "email-postmark",
                            "template": {
                                "settings": {"layout_key": "default"},
                                "subject": "Join {{ data.team }}",
                                "text_body@": "email_1/text_body.txt",
                            },
                        }
                    ],
                },
                {"name": "Default", "steps": []},
            ],
        },
        {
            "ref": "sms_1",
            "type": "channel",
            "channel_key": "sms-provider",
            "conditions": {"any": [{"variable": "refs.email_1.delivery_status", "operator": "equal_to"}]},
            "template": {"text_body": "{% unless recipient.quiet %}Join {{ data.team }}{% endunless %}"},
        },
    ],
    "__readonly": {"environment": "development", "key": "team-invite"},
}
ONCALL = {
    "escalation_chains": [{"id": "F5JU6KJET33FE", "name": "Database", "team_id": None}],
    "escalation_policies": [
        {"id": "E2", "escalation_chain_id": "F5JU6KJET33FE", "position": 1, "type": "wait", "duration": 300},
        {
            "id": "E1",
            "escalation_chain_id": "F5JU6KJET33FE",
            "position": 0,
            "type": "notify_persons",
            "important": True,
            "persons_to_notify": ["U4DNY931HHJS5"],
        },
        {
            "id": "E3",
            "escalation_chain_id": "F5JU6KJET33FE",
            "position": 2,
            "type": "notify_on_call_from_schedule",
            "notify_on_call_from_schedule": "SBM7DV7BKFUYU",
        },
    ],
}
NOTIFY = {
    "templates": [
        {
            "id": "f33517ff",
            "name": "Appointment",
            "type": "email",
            "version": 3,
            "subject": "Your visit on ((date))",
            "body": "Dear ((first name)),\n\n# Where\n((late??Please be on time.))",
        },
        {"id": "a2", "name": "Appointment", "type": "sms", "version": 1, "body": "Visit on ((date))"},
        {"id": "b3", "name": "Reminder", "type": "letter", "version": 1, "subject": "x", "body": "y"},
    ]
}
ONESIGNAL = """id,identifier,session_count,language,timezone,device_type,tags,notification_types,external_user_id,timezone_id,country,invalid_identifier
1,ada@example.com,3,en,3600,11,"{""plan"":""pro""}",1,ada,Europe/London,GB,f
2,+447700900123,1,en,3600,14,,-2,ada,Europe/London,GB,f
3,cd12,9,de,3600,0,,1,ada,,DE,f
4,nobody@example.com,1,en,0,11,,1,,,,f
"""
PINPOINT = """ChannelType,Address,Location.Country,Demographic.Locale,OptOut,User.UserId,User.UserAttributes.Plan
EMAIL,john.stiles@example.com,US,en_US,NONE,john,pro
SMS,12065550182,US,en_US,ALL,john,pro
APNS,1a2b3c,US,en_US,NONE,john,pro
"""


@pytest.fixture
def imported(run, tmp_path):
    """Imports an export of a system into a folder, plans that, and gives the folder and the report by part."""

    def imported(system, path):
        folder = tmp_path / "imported"
        told = json.loads(run("import", system, path, folder, "--json"))
        plan = json.loads(run("plan", folder, "--json", code=Exit.CHANGES))
        assert plan["errors"] == []
        report: dict[str, list[str]] = {}
        for line in told["report"]:
            report.setdefault(line["verdict"], []).append(f"{line['part']}: {line['why']}")
        return reading.read(folder, []).documents, report

    return imported


def written(tmp_path, document):
    """A file with JSON."""
    file = tmp_path / "export.json"
    file.write_text(json.dumps(document))
    return file


def test_novu_workflows_with_both_editors(imported, tmp_path):
    """Handlebars and Liquid become our templates; what has no equal is named with its step."""
    documents, report = imported("novu", written(tmp_path, NOVU))
    steps = documents["workflows"]["new-comment"]["steps"]
    assert [step.get("type", "send") for step in steps] == ["send", "wait", "digest", "send"]
    assert steps[1]["for_s"] == 7200
    assert steps[2] == {"key": "digest-3", "type": "digest", "window_s": 300, "by": "/post"}
    assert steps[0]["when"] == "(data.loud == true)"
    content = documents["templates"]["new-comment"]["channels"]
    assert content["in_app"]["en"] == {
        "title": "{{ author }} wrote to {{ user.attributes.firstName }}",
        "url": "https://shop.example/{{ post.id }}",
    }
    assert content["email"]["en"]["html"] == (
        "{% if author %}<p>{{ author }}</p>{% endif %}{% for this in items %}<i>{{ this.name }}</i>{% endfor %}"
    )
    assert documents["templates"]["order-shipped"]["channels"]["sms"]["en"]["text"] == (
        "Order {{ data.order|upper }} is on its way"
    )
    assert documents["workflows"]["order-shipped"]["data_schema"]["properties"] == {
        "order": {"type": "string"}
    }
    assert {"new-comment: workflow: ", "order-shipped: workflow: "} <= {*report["taken over"]}
    lost = " | ".join(report["no equal"])
    assert "step 4 (email): behind a digest" in lost
    assert "step 5 (throttle)" in lost
    assert "step 3 (digest): texts behind it get `items`" in " | ".join(report["changed"])
    assert "preferenceSettings: sms off by default" in lost
    assert "JSONLogic" in lost


def test_knock_workflow_folders(imported, tmp_path):
    """Texts come from the files beside, branches stay branches."""
    folder = tmp_path / "knock/team-invite"
    (folder / "email_1").mkdir(parents=True)
    (folder / "email_1/text_body.txt").write_text("Hello {{ recipient.name | default: 'you' }}\n")
    (folder / "workflow.json").write_text(json.dumps(KNOCK))
    documents, report = imported("knock", tmp_path / "knock")
    steps = documents["workflows"]["team-invite"]["steps"]
    assert [step.get("type", "send") for step in steps] == ["wait", "digest", "branch", "send"]
    assert steps[1]["window_s"] == 300
    assert steps[2]["cases"][0]["when"] == 'user.attributes.plan == "pro"'
    channels = documents["templates"]["team-invite"]["channels"]
    assert channels["email"]["en"]["text"] == "Hello {{ user.attributes.name|default('you') }}"
    assert (
        channels["sms"]["en"]["text"] == "{% if not (user.attributes.quiet) %}Join {{ data.team }}{% endif %}"
    )
    lost = " | ".join(report["no equal"])
    assert "step fetch_1 (http_fetch)" in lost
    assert "step sms_1 (channel): a condition on anything but" in lost


def test_a_knock_text_outside_of_its_folder_is_not_read(run, tmp_path):
    """An export from a stranger reads no other file of this machine."""
    (tmp_path / "secret.txt").write_text("secret")
    step = {"ref": "s", "type": "channel", "channel_key": "sms", "template": {"text_body@": "../secret.txt"}}
    (tmp_path / "w").mkdir()
    (tmp_path / "w/workflow.json").write_text(json.dumps({"steps": [step]}))
    assert "outside of its folder" in run(
        "import", "knock", tmp_path / "w", tmp_path / "out", code=Exit.USAGE
    )


def test_escalation_chains_of_grafana_oncall(imported, tmp_path):
    """In the order of their positions; schedules have no equal."""
    documents, report = imported("oncall", written(tmp_path, ONCALL))
    steps = documents["workflows"]["escalate-database"]["steps"]
    assert [(step.get("type", "send"), step.get("recipients")) for step in steps] == [
        ("send", None),
        ("trigger", '["U4DNY931HHJS5"]'),
        ("wait", None),
    ]
    assert documents["workflows"]["page-important"]["steps"][0]["to"]["mode"] == "all"
    assert "policy 3 (notify_on_call_from_schedule)" in report["no equal"][0]


def test_templates_of_govuk_notify(imported, tmp_path):
    """Double brackets become values and conditions, and a data schema; letters have no equal."""
    documents, report = imported("notify", written(tmp_path, NOTIFY))
    template = documents["templates"]["appointment"]
    assert template["channels"]["email"]["en-GB"] == {
        "subject": "Your visit on {{ data.date }}",
        "text": 'Dear {{ data["first name"] }},\n\n# Where\n'
        '{% if data.late in ["yes", "true", true] %}Please be on time.{% endif %}',
    }
    assert template["data_schema"]["required"] == ["date", "first name"]
    assert {*documents["workflows"]} == {"appointment", "appointment-sms"}
    assert report["no equal"] == ["reminder (letter): there are no letters"]


def test_users_of_onesignal_and_pinpoint(run, tmp_path):
    """Rows of one person become one user, which can be imported; push tokens and people without an id cannot."""
    exports = {"onesignal": (ONESIGNAL, "ada"), "pinpoint": (PINPOINT, "john")}
    users = {}
    for system, (content, user_id) in exports.items():
        file = tmp_path / f"{system}.csv.gz"
        file.write_bytes(gzip.compress(content.encode()))
        report = json.loads(run("import", system, file, tmp_path / system, "--json"))["report"]
        (line,) = (tmp_path / system / "users.ndjson").read_text().splitlines()
        tried = json.loads(run("users", "import", tmp_path / system / "users.ndjson", "--dry-run", "--json"))
        assert (tried["lines"], tried["wrong"]) == (1, 0)
        user = users[user_id] = tried["users"][0]["after"]
        assert user["user_id"] == user_id
        assert user["email"] == json.loads(line)["email"]
        assert user["phone"].startswith("+")
        assert len((tmp_path / system / "suppressions.ndjson").read_text().splitlines()) == 1
        assert {one["verdict"] for one in report} == {"taken over", "changed", "no equal"}
    assert users["john"]["attributes"] == {"Plan": "pro", "country": "US"}


def test_the_report_is_a_table_for_people(run, tmp_path):
    """With the next command to type."""
    told = run("import", "notify", written(tmp_path, NOTIFY), tmp_path / "out")
    assert "reminder (letter)" in told
    assert "no equal" in told
    assert f"clarion plan {tmp_path / 'out'}" in told


def test_an_import_owns_nothing_so_applying_it_deletes_nothing(run, tmp_path):
    """Whatever the server had before stays."""
    run("import", "notify", written(tmp_path, NOTIFY), tmp_path / "out")
    plan = json.loads(run("plan", tmp_path / "out", "--json", code=Exit.CHANGES))
    assert {one["action"] for one in plan["changes"]} == {"create"}


@pytest.mark.parametrize(
    ("system", "text", "told"),
    [
        ("novu", "{", "no JSON"),
        ("onesignal", "a,b\n", "no OneSignal export"),
        ("pinpoint", "a,b\n", "no Pinpoint export"),
        ("oncall", "[]", "no escalation policies"),
    ],
)
def test_another_file_is_refused_with_what_is_missing(run, tmp_path, system, text, told):
    """Nothing is written then."""
    (tmp_path / "x.json").write_text(text)
    assert told in run("import", system, tmp_path / "x.json", tmp_path / "out", code=Exit.USAGE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("{{ data.a | default: 'x | y' }}", "{{ data.a|default('x | y') }}"),
        (
            "{% if data.tags contains 'a' %}{% elsif b %}{% endif %}",
            "{% if 'a' in data.tags %}{% elif b %}{% endif %}",
        ),
        ("{% assign n = data.list | size %}", "{% set n = data.list|length %}"),
        (
            "{{ recipient.locale }} {{ recipient.plan.name }}",
            "{{ user.locale }} {{ user.attributes.plan.name }}",
        ),
    ],
)
def test_liquid_becomes_our_language(theirs, ours):
    """Texts in quotes stay as they are."""
    assert dialects.liquid(theirs, {"recipient": "user", "data": "data"}) == (ours, [])


def test_what_liquid_has_alone_is_told():
    """And is left out where it would not compile."""
    text, remarks = dialects.liquid("{% render 'x' %}{{ a | pluralize: 'b' }}", {})
    assert "{#" in text
    assert remarks == [
        "the Liquid tag `render` has no equal",
        "the Liquid filter `pluralize` is not known: check it",
    ]
