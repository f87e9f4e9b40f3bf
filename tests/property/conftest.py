"""What property tests share."""

import pytest

from clarion.adapters.ledgers.joined_ids import ID_BYTES
from clarion.adapters.ledgers.sqlite import recent_messages


@pytest.fixture(autouse=True, scope="module")
def newest_messages_are_moved_soon():
    """After a few rows, not after thousands: stories are short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_messages, "GROUP", 1)
        patch.setattr(recent_messages, "ROWS_A_STEP", 2)
        patch.setattr(recent_messages, "STEPS", 2)
        patch.setattr(recent_messages, "PAGE", 3 * ID_BYTES)
        yield
