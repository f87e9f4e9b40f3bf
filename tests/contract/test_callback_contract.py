"""The contract for callbacks holds for a careful provider, and catches a careless one."""

import hmac
from functools import partial

import msgspec
import pytest
from msgspec.structs import replace

from clarion.adapters.system import SystemClock, SystemRandom
from clarion.adapters.vaults.local import LocalVault
from clarion.errors import CallbackForged
from clarion.model.receipt import ReceiptKind
from clarion.ports.callback import Callback, ReportedReceipt
from clarion.testing.ports import provider_tools
from clarion.testing.provider_contract import ProviderSubject
from clarion.testing.provider_contract.callbacks import (
    CALLBACKS,
    a_changed_callback_is_refused,
    a_repeated_callback_changes_nothing,
    a_strangers_callback_is_refused,
    an_old_callback_is_refused,
    an_unsigned_callback_is_refused,
    callbacks_tell_no_secrets,
    each_callback_means_what_is_recorded,
    every_kind_of_receipt_is_on_record,
    garbage_is_told_from_sense,
)
from tests.carrier import MARK, REPORTS, VENDOR, carrier, read, verify

RANDOM = SystemRandom()
TOOLS = provider_tools(SystemClock(), RANDOM, LocalVault(bytes(32), RANDOM))


def subject(**changes):
    """The carrier, with its callbacks changed."""
    plugin = replace(carrier(), callbacks=replace(REPORTS, **changes))
    return ProviderSubject(plugin=plugin, tools=TOOLS, vendor=VENDOR)


@pytest.mark.parametrize("check", CALLBACKS, ids=lambda check: check.__name__)
async def test_a_careful_provider_keeps_the_contract(check):
    """The one that the tests of callbacks use."""
    await check(subject())


def trusting(request, config, tools):
    """Takes everything."""


def hasty(request, config, tools):
    """Looks at the form of a signature only."""
    if not request.headers.get(MARK, "").partition(".")[0].isdecimal():
        raise CallbackForged("there is no signature")


def timeless(request, config, tools):
    """Never looks at the clock."""
    seconds = int(request.headers.get(MARK, "0").partition(".")[0] or 0)
    verify(request, config, replace(tools, now=seconds * 1000))


def of_body(request, config, tools):
    """Verifies a signature over something else than what came."""
    if MARK not in request.headers or not hmac.compare_digest(request.headers[MARK][-64:], "0" * 64):
        verify(replace(request, body=request.body.replace(b"b1", b"a0")), config, tools)


def raising(request, config, tools):
    """Falls over bodies that it does not expect."""
    return Callback(unread=msgspec.json.decode(request.body)[0].get("other", ""))


def counting(count, request, config, tools):
    """Reads something else every time."""
    count.append(1)
    return Callback(receipts=(ReportedReceipt(reference=str(len(count)), kind=ReceiptKind.DELIVERED),))


def talkative(request, config, tools):
    """Quotes its secret."""
    return replace(read(request, config, tools), unread=config.token)


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"verify": trusting}, an_unsigned_callback_is_refused),
        ({"verify": hasty}, a_strangers_callback_is_refused),
        ({"verify": of_body}, a_changed_callback_is_refused),
        ({"verify": timeless}, an_old_callback_is_refused),
        ({"read": lambda *_: Callback()}, each_callback_means_what_is_recorded),
        ({"kinds": frozenset(ReceiptKind)}, every_kind_of_receipt_is_on_record),
        ({"inbound": False}, every_kind_of_receipt_is_on_record),
        ({"methods": frozenset({"GET"})}, every_kind_of_receipt_is_on_record),
        ({"read": partial(counting, [])}, a_repeated_callback_changes_nothing),
        ({"read": raising}, garbage_is_told_from_sense),
        ({"read": talkative}, callbacks_tell_no_secrets),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_a_careless_provider_is_caught(changes, check):
    """Each check is there for a fault that it finds."""
    with pytest.raises((AssertionError, msgspec.DecodeError)):
        await check(subject(**changes))
