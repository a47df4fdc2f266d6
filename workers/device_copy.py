"""DeviceCopy: brings prepared tensors to a CUDA device while a pass runs there.

Each item is copied by itself, from pinned memory, on a stream of its own; a batch is formed as late as ever, from items
that are there already, and nothing is lost when a more urgent job takes its place.
"""

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple


class Arrival(NamedTuple):
    """A tensor that is on its way to the device, and the CUDA event of its arrival."""

    tensor: Any
    event: Any


class DeviceCopy:
    """Copies to one CUDA device."""

    def __init__(self, device: str) -> None:
        self._torch = sys.modules["torch"]
        self._device = self._torch.device(device)
        self._stream = self._torch.cuda.Stream(self._device)

    def send(self, item: Any) -> Any:
        """Begin to copy a tensor that lies in the CPU's memory; anything else is answered as it is."""
        if not isinstance(item, self._torch.Tensor) or item.device.type != "cpu":
            return item
        with self._torch.cuda.stream(self._stream):
            # The allocator keeps the pinned block until the copy has been made.
            tensor = item.pin_memory().to(self._device, non_blocking=True)
            event = self._torch.cuda.Event()
            event.record(self._stream)
        return Arrival(tensor, event)

    def arrived(self, items: Iterable[Any]) -> list[Any]:
        """Let the current stream wait for these, and answer the tensors."""
        current = self._torch.cuda.current_stream(self._device)
        return [self._received(item, current) if type(item) is Arrival else item for item in items]

    def _received(self, arrival: Arrival, current: Any) -> Any:
        current.wait_event(arrival.event)
        # Its memory belongs to the copying stream, and must not be used again there before the pass has read it.
        arrival.tensor.record_stream(current)
        return arrival.tensor


def device_copy(device: str) -> DeviceCopy | None:
    """The way to a CUDA device; None if there is none to go, or the model does not use torch."""
    torch = sys.modules.get("torch")
    is_needed = torch is not None and device.startswith("cuda") and torch.cuda.is_available()
    return DeviceCopy(device) if is_needed else None
