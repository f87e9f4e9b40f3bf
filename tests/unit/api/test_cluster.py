"""The processes of an installation, and asking one to stop."""

from clarion.model.channel import LANES, Lane
from clarion.model.ids import Instant
from clarion.model.worker import Process, Role


async def opened(clarion, node: str, lasts_ms: int = 60_000, **process) -> None:
    """Another process says that it lives."""
    now = clarion.clock.now()
    said = Process(node=node, **process)
    worker = await clarion.ledger.leases.open(said, now, Instant(now + lasts_ms))
    await clarion.ledger.leases.beat(worker, Instant(now + lasts_ms), None, 7)


async def test_an_operator_sees_every_process_and_what_waits(clarion, operator):
    """In the order in which they started, also while versions are mixed."""
    await opened(clarion, "a:1", version="1.3", roles=(Role.API, Role.TIMERS))
    await opened(clarion, "b:2", version="1.4", roles=(Role.WORKER,), lanes=(Lane.CRITICAL, Lane.HIGH))
    await opened(clarion, "c:3", lasts_ms=-1, version="1.4", roles=(Role.GATEWAY,))
    for lane in LANES:  # as its own loops do, now or in a moment
        assert await clarion.ledger.log.take(lane, clarion.pipeline.lease.worker)
    found = await operator.ok("GET", "/v1/cluster")
    own, api, worker, gateway = found["processes"]
    assert (own["roles"], own["timers"]) == (["api", "worker", "gateway", "timers"], True)
    assert own["plans"] == ["critical", "high", "normal", "bulk"]
    assert (api["node"], api["roles"], api["timers"], api["plans"]) == ("a:1", ["api", "timers"], False, [])
    assert (worker["lanes"], worker["plans"], worker["held"]) == (["critical", "high"], [], 7)
    assert [one["status"] for one in (api, worker, gateway)] == ["working", "working", "lost"]
    assert found["versions"] == ["1.3", "1.4"]
    assert {one["lane"]: (one["events"], one["messages"]) for one in found["lanes"]} == dict.fromkeys(
        ("critical", "high", "normal", "bulk"), (0, 0)
    )
    assert found["warnings"] == {}


async def test_a_process_is_asked_to_stop_by_its_name(clarion, operator):
    """It shows at once; a misspelt one is 404 with the nearest; a dry run asks nobody."""
    await opened(clarion, "web-1:4711")
    await operator.ok("POST", "/v1/cluster/drain?dry_run=true", {"node": "web-1:4711"})
    _, one = (await operator.ok("GET", "/v1/cluster"))["processes"]
    assert one["status"] == "working"
    assert await operator.ok("POST", "/v1/cluster/drain", {"node": "web-1:4711"}) == {"node": "web-1:4711"}
    _, one = (await operator.ok("GET", "/v1/cluster"))["processes"]
    assert one["status"] == "draining"
    shown = await operator.problem("POST", "/v1/cluster/drain", {"node": "web-1:4712"})
    assert (shown["status"], "Did you mean 'web-1:4711'?" in shown["detail"]) == (404, True)


async def test_no_tenant_sees_the_processes(admin):
    """They are all tenants' together."""
    assert (await admin.problem("GET", "/v1/cluster"))["status"] == 403
    assert (await admin.problem("POST", "/v1/cluster/drain", {"node": "x"}))["status"] == 403
