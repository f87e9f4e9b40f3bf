"""Two regions: one is lost, the other takes over its users and gives them back, and nothing is lost or repeated."""

from __future__ import annotations

import asyncio

import pytest

from tests.acceptance.history import History, violations
from tests.acceptance.reader import settled
from tests.acceptance.region_drill import drill
from tests.acceptance.traffic import Traffic
from tests.acceptance.two_regions import Refused, cell
from tests.needs import DEEP

pytestmark = [pytest.mark.timeout(600)]


async def test_a_region_takes_over_and_gives_back(tmp_path):
    """Everything in a region is killed under load. The other region has every answer's work, goes on when somebody says so, and
    hands the users back; the old primary is not used before."""
    async with cell("paris", tmp_path / "paris") as users:
        await users.mirrored("paris")
        history = History()
        ports = [users.api("paris").port, users.api("oslo").port]
        traffic = Traffic(ports, users.topology.key, history, 1, callers=3)
        traffic.only(users.users)
        load = asyncio.create_task(traffic.run())
        await asyncio.sleep(2)
        with pytest.raises(Refused, match="giveback"):
            await users.clarion("oslo", "takeover", "--confirm", "paris")
        users.servers["paris"].kill()
        users.kill("paris")
        print(await users.clarion("oslo", "takeover", "--complete", "--confirm", "paris"))
        await users.ready("oslo")
        await asyncio.sleep(2)
        users.servers["paris"].start()
        print(await users.clarion("paris", "status"))
        users.servers["paris"].follow(users.lines["oslo"].port)
        await users.launch("paris")
        await users.mirrored("oslo")
        print(await users.clarion("oslo", "giveback", "--confirm", "paris"))
        await users.ready("paris")
        await asyncio.sleep(1)
        traffic.stopping = True
        await load
        await traffic.settle_unanswered()
        seen = await settled(users.api("paris").api, history, users=users.users)
        print(dict(history.answers), len(seen.messages))
        assert violations(history, seen) == []


@pytest.mark.timeout(1800)
@pytest.mark.skipif(not DEEP, reason="takes minutes: HYPOTHESIS_PROFILE=deep, and -s shows the report")
@pytest.mark.parametrize("broker", ["database", "kafka"])
async def test_two_regions_lose_nothing_when_one_is_lost(broker, tmp_path):
    """The drill of docs/explanation/scaling.md."""
    async with drill(tmp_path, with_kafka=broker == "kafka") as two:
        async with two.load():
            await asyncio.sleep(5)
            left = await two.cut(12)
            await asyncio.sleep(3)
            await two.lose("paris")
            await two.take_over("paris", "oslo")
            await asyncio.sleep(8)
            await two.come_back("paris", "oslo")
            await two.give_back("paris", "oslo")
            await asyncio.sleep(4)
        await two.judge(left)
        two.availability()
