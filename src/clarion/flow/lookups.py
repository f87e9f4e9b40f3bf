"""Looks up the tenant, workflow, category and template that keys stand for."""

from __future__ import annotations

from msgspec import DecodeError

from clarion.errors import SealBroken
from clarion.flow import verification_workflow
from clarion.flow.setup_view import SetupView
from clarion.model.channel import Channel, Lane
from clarion.model.ids import TenantId
from clarion.model.setup import Category, SendAll, Step, Template, Tenant, Workflow
from clarion.model.status import Reason

TEST_SEND = "~test:"
"""Begins the keys of what authors send to themselves. Nothing a tenant sets up can be called so."""


BUILT_IN = (TEST_SEND, verification_workflow.VERIFICATION)
"""Begin the keys of workflows that exist in code only."""

UNMATCHED = Workflow(key="", category="")
"""Stands for the workflow of an event that none listens to. Nothing a tenant sets up can be called so."""


def setup_of(setup: SetupView, tenant_id: TenantId, key: str) -> tuple[Tenant, Workflow, Category] | None:
    """Tenant, workflow and category of a workflow key; None when the workflow is gone."""
    tenant = setup.tenants.all().get(tenant_id)
    workflow = setup.workflows.all(tenant_id).get(key)
    if workflow is None and key.startswith(TEST_SEND):
        workflow = _test_workflow(setup, tenant_id, key)
        if tenant is not None and workflow is not None:
            # It was asked for by name: neither preferences nor quiet hours nor caps hold it back.
            return tenant, workflow, Category(key=workflow.category, critical=True)
    if workflow is None and tenant is not None and (workflow := verification_workflow.workflow_of(key)):
        return tenant, workflow, Category(key=workflow.category, critical=True)
    if tenant is None or workflow is None:
        return None
    category = setup.categories.all(tenant_id).get(workflow.category)
    return tenant, workflow, category or Category(key=workflow.category)


async def last_known(setup: SetupView, tenant_id: TenantId, key: str) -> Workflow:
    """The workflow as it was before it was deleted, so that what it was to send can still be named."""
    if key.startswith(TEST_SEND):
        template_key, channel, integration = _parts(key)
        return workflow_of_test_send(template_key, Channel(channel), "test", integration)
    if (built_in := verification_workflow.workflow_of(key)) is not None:
        return built_in
    for version in await setup.workflows.versions(tenant_id, key, None, 1):
        return version
    step = Step(key="", template="", to=SendAll(channels=(Channel.IN_APP,)))
    return Workflow(key=key, category="", steps=(step,))


def template_of(setup: SetupView, tenant_id: TenantId, key: str) -> Template | None:
    """The live template of this key, or what is being tried out under it."""
    template = setup.templates.all(tenant_id).get(key)
    if key == verification_workflow.VERIFICATION:
        return verification_workflow.TEMPLATE
    if template is None and key.startswith(TEST_SEND):
        return setup.test_templates.all(tenant_id).get(key)
    return template


def workflow_of_test_send(
    template_key: str, channel: Channel, category: str, integration: str = ""
) -> Workflow:
    """Sends what is tried out under the key `template_key` on one channel, or through one integration of it."""
    key = f"{template_key}:{channel}"
    return Workflow(
        key=f"{key}/{integration}" if integration else key,
        category=category,
        lane=Lane.HIGH,
        steps=(Step(key="test", template=template_key, to=SendAll(channels=(channel,))),),
    )


def integration_under_test(workflow: str) -> str:
    """The only integration that messages of this workflow may take; empty: any of their channel."""
    return _parts(workflow)[2] if workflow.startswith(TEST_SEND) else ""


def _parts(key: str) -> tuple[str, str, str]:
    """Template, channel and integration in the key of a test's workflow. No other key has a `/`."""
    test, _, integration = key.partition("/")
    template_key, _, channel = test.rpartition(":")
    return template_key, channel, integration


def category_of_test_send(setup: SetupView, tenant_id: TenantId, template: str) -> str:
    """The category in which a template is really sent, so that its links lead where they will lead."""
    workflows = setup.workflows.all(tenant_id)
    senders = (w for _, w in sorted(workflows.items()) if template in w.templates())
    return next((workflow.category for workflow in senders), "test")


def _test_workflow(setup: SetupView, tenant_id: TenantId, key: str) -> Workflow | None:
    template_key, channel, integration = _parts(key)
    if template_key not in setup.test_templates.all(tenant_id) or channel not in list(Channel):
        return None
    template = template_key.removeprefix(TEST_SEND).rpartition(":")[0]
    category = category_of_test_send(setup, tenant_id, template)
    return workflow_of_test_send(template_key, Channel(channel), category, integration)


def reason_of(fault: Exception) -> Reason:
    """What is told about an entry or a message that fails with this."""
    return Reason.UNREADABLE if isinstance(fault, SealBroken | DecodeError) else Reason.INTERNAL_ERROR
