"""A timer wheel: one dict of seconds instead of one timer per connection."""

from __future__ import annotations

from clarion.gateway.device import ConnectedDevice


class TimerWheel:
    """Every device stands in at most one slot; a slot is one second."""

    def __init__(self) -> None:
        self._slots: dict[int, set[ConnectedDevice]] = {}
        self._turned = 0

    def put(self, device: ConnectedDevice, at: float) -> None:
        """Look at it within a second after `at`."""
        self.remove(device)
        device.slot = max(int(at) + 1, self._turned + 1)
        self._slots.setdefault(device.slot, set()).add(device)

    def remove(self, device: ConnectedDevice) -> None:
        """Forget it, at once and completely: it may hold a dead connection's memory."""
        if slot := self._slots.get(device.slot):
            slot.discard(device)

    def turn(self, now: float) -> list[ConnectedDevice]:
        """Devices whose time has come; they stand in no slot now."""
        upto = int(now)
        ripe = [slot for slot in self._slots if slot <= upto]
        self._turned = max(self._turned, upto)
        return [device for slot in ripe for device in self._slots.pop(slot)]
