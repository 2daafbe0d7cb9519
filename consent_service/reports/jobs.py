"""What the worker does for reports: count what is new, and count anew what has changed."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from consent_service.db import Contended, Database
from consent_service.errors import Unavailable
from consent_service.reports.rollups import Rebuild, Rollups, Superseded, Waiting
from consent_service.tenants.service import Site

#: Batches of one site that are counted before it is the next one's turn.
_BATCHES = 10

#: Seconds after which no further day of a site that is counted anew is begun in this turn.
_SHARE_SECONDS = 0.5

log = logging.getLogger(__name__)


class Counting:
    """Counts for all sites, a little for each in turn."""

    def __init__(self, database: Database) -> None:
        """Count in this database."""
        self._database = database
        self._rollups = Rollups(database)
        self._rebuilds: dict[UUID, Rebuild] = {}

    def count(self, sites: Iterable[Site]) -> bool:
        """Count what is new, and some days more of sites that are counted anew.

        :returns: whether there was something to count
        :raises Unavailable: when the database does not answer
        """
        done = False
        for waiting in self._waiting(sites):
            for site in waiting.to_fold:
                done |= _attempt(site, self._fold)
            for site in waiting.to_rebuild:
                done |= _attempt(site, self._rebuild)
        return done

    def recount(self, sites: Iterable[Site]) -> bool:
        """Count the days anew of which records were erased.

        :returns: whether there were any
        :raises Unavailable: when the database does not answer
        """
        done = False
        for waiting in self._waiting(sites):
            for site in waiting.to_recount:
                done |= _attempt(site, lambda site: bool(self._rollups.recount_erased(site)))
        return done

    def _waiting(self, sites: Iterable[Site]) -> Iterator[Waiting]:
        of_tenants: dict[UUID, list[Site]] = defaultdict(list)
        for site in sites:
            of_tenants[site.tenant_id].append(site)
        for tenant_id, its_sites in of_tenants.items():
            yield self._rollups.waiting(tenant_id, its_sites)

    def _fold(self, site: Site) -> bool:
        for _ in range(_BATCHES):
            if not self._rollups.fold(site).more:
                break
        return True

    def _rebuild(self, site: Site) -> bool:
        rebuild = self._rebuilds.pop(site.id, None) or self._rollups.begin_rebuild(site)
        if rebuild is None:
            # Another process is at it.
            return False
        until = time.monotonic() + _SHARE_SECONDS
        try:
            while rebuild.step() and time.monotonic() < until:
                pass
        except (Contended, Unavailable):
            self._rebuilds[site.id] = rebuild
            raise
        except Superseded:
            log.info("counting anew was superseded", extra={"site": site.site_key})
            return True
        if rebuild.left:
            self._rebuilds[site.id] = rebuild
        elif rebuild.days:
            told = {"site": site.site_key, "days": len(rebuild.days)}
            log.info("all days of a site were counted anew", extra=told)
        return True


def _attempt(site: Site, work: Callable[[Site], bool]) -> bool:
    """Do something for a site; what fails for one does not keep others waiting."""
    try:
        return work(site)
    except Contended:
        # Whoever else counts it does the same work.
        return False
    except Unavailable:
        raise
    except Exception:
        log.exception("a site could not be counted", extra={"site": site.site_key})
        return False
