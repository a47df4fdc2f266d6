"""The secret that seals job ids, as one API process remembers it."""

from headrace.id_key import offer_id_key, read_id_key
from headrace.ids import is_authentic, new_job_ids
from headrace.keys import Keys
from headrace.mux import Mux


class IdSeal:
    """Makes and recognises ids."""

    def __init__(self, *, mux: Mux, keys: Keys) -> None:
        self._mux = mux
        self._keys = keys
        self._key = b""

    async def new_id(self, tenant: str) -> str:
        """An id for a new job; raises as `new_ids`."""
        return (await self.new_ids(tenant, 1))[0]

    async def new_ids(self, tenant: str, count: int) -> list[str]:
        """Ids for jobs that came together, in their order.

        Raises:
            RedisUnavailable: if the secret was not read yet and cannot be now.
        """
        key = self._key or await self._read()
        return new_job_ids(count, cell=self._keys.cell, tenant=tenant, key=key)

    async def is_ours(self, job_id: str, tenant: str) -> bool:
        """Tell whether this installation once gave `job_id` to `tenant`."""
        return is_authentic(job_id, tenant=tenant, key=self._key or await self._read())

    async def _read(self) -> bytes:
        await self._mux.run(offer_id_key(self._keys))
        self._key = await self._mux.run(read_id_key(self._keys))
        return self._key
