"""Whose clock a step goes by."""

from __future__ import annotations

from collections.abc import Iterator

from clarion.model.setup import Step, Tenant
from clarion.model.user import User
from clarion.rules.places import zone_of
from clarion.rules.quiet_hours import check_zone
from clarion.rules.steps.kind import StepFault

RECIPIENT, TENANT = "recipient", "tenant"
"""What `timezone` may say instead of an IANA name."""


def zone_for(step: Step, user: User, tenant: Tenant) -> str:
    """The zone of a step."""
    if step.timezone == RECIPIENT:
        return zone_of(user, tenant)
    return tenant.timezone if step.timezone == TENANT else step.timezone


def zone_faults(step: Step, at: str) -> Iterator[StepFault]:
    """A zone that is none. `at`: the pointer to the step."""
    if step.timezone not in (RECIPIENT, TENANT) and not check_zone(step.timezone):
        detail = f"{step.timezone!r} is neither `{RECIPIENT}`, nor `{TENANT}`, nor an IANA time zone."
        yield StepFault(f"{at}/timezone", detail)
