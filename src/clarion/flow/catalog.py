"""Finding what a workflow key stands for."""

from __future__ import annotations

from clarion.model.ids import TenantId
from clarion.model.setup import Category, Tenant, Workflow
from clarion.ports.ledger import Setup


def setup_of(setup: Setup, tenant_id: TenantId, key: str) -> tuple[Tenant, Workflow, Category] | None:
    """Tenant, workflow and category of a workflow key; None when the workflow is gone."""
    tenant = setup.tenants.all().get(tenant_id)
    workflow = setup.workflows.all(tenant_id).get(key)
    if tenant is None or workflow is None:
        return None
    category = setup.categories.all(tenant_id).get(workflow.category)
    return tenant, workflow, category or Category(key=workflow.category)
