"""The mark that an index may lack entries. While it is set, the sweep makes all indexes anew of the jobs' records."""

import secrets

from tokentail.redis.errors import REPLIED_ERRORS, redis_errors
from tokentail.redis.jobs_on_cluster import JobsOnCluster
from tokentail.redis.keys import INDEX_SERVER, REBUILD
from tokentail.redis.mending import mended
from tokentail.redis.script_client import ScriptClient
from tokentail.redis.scripts import vital_call


class RebuildMark(ScriptClient):
    """Sets, reads and removes the mark. `mending.py` sets it, too, when an index of the wrong type is dropped."""

    def rebuild_mark(self) -> bytes | None:
        """The mark; None without one. Raises StoreUnavailable."""
        self._note_restart()
        with redis_errors(REBUILD):
            mark: bytes | None = self.client.dump(REBUILD)  # of whatever type it is
        return mark

    def note_rebuilt(self, mark: bytes) -> None:
        """Remove `mark`: all indexes were rebuilt from the jobs' records since it was read. A later mark stays."""
        if self.rebuild_mark() == mark:
            with redis_errors(REBUILD):
                self.client.delete(REBUILD)

    def _note_restart(self) -> None:
        """Set the mark if the indexes are on another server than the jobs, which has been started or replaced since.

        It may then have lost its last entries, while the jobs are still there.
        """
        if not isinstance(self.client, JobsOnCluster):
            return
        with redis_errors(INDEX_SERVER):
            try:
                run = str(self.client.others.info("server")["run_id"])
            except REPLIED_ERRORS:
                return  # its user may not ask
            known = mended(self.client, {INDEX_SERVER: "string"}, lambda: self.client.get(INDEX_SERVER))
            if known != run.encode():
                self.run(vital_call(REBUILD, "SET", secrets.token_hex(4)))
                self.run(vital_call(INDEX_SERVER, "SET", run))
