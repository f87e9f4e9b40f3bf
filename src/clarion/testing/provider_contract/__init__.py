"""What every provider must do, as checks to run over yours.

import pytest
from clarion.testing.provider_contract import PROVIDER_CONTRACT, Subject

@pytest.mark.parametrize("check", PROVIDER_CONTRACT, ids=lambda check: check.__name__)
async def test_my_provider_keeps_the_contract(check, tools):
    await check(Subject(plugin=my_plugin, tools=tools, vendor=my_vendor))

`my_vendor` says how to lead the provider to a server of ours and what the real one answers; with it, the provider
meets servers that hang, drip, break off and never end. With `my_vendor.callbacks` it is shown what the service reports. What a check cannot ask of a provider it says by
`unittest.SkipTest`, which pytest shows as skipped.
"""

from __future__ import annotations

from collections.abc import Sequence

from clarion.testing.provider_contract.callbacks import CALLBACKS
from clarion.testing.provider_contract.network import NETWORK, Check, at_home, excusable
from clarion.testing.provider_contract.promises import PROMISES
from clarion.testing.provider_contract.recorded_callbacks import REFERENCE, CallbackVendor, RecordedCallback
from clarion.testing.provider_contract.subject import (
    ADDRESSES,
    SECRET,
    WORDS,
    ProviderSubject,
    Recorded,
    Vendor,
)
from clarion.testing.provider_contract.withdrawals import WITHDRAWALS

PROVIDER_CONTRACT: Sequence[Check] = tuple(
    map(excusable, (*map(at_home, PROMISES), *NETWORK, *CALLBACKS, *WITHDRAWALS))
)

__all__ = [
    "ADDRESSES",
    "PROVIDER_CONTRACT",
    "REFERENCE",
    "SECRET",
    "WORDS",
    "CallbackVendor",
    "Check",
    "ProviderSubject",
    "Recorded",
    "RecordedCallback",
    "Vendor",
]
