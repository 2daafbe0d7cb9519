"""The quarterly report that a tenant's DPO owes the data-protection authority.

Tanzania: Personal Data Protection Act, s. 27(3), under which the officer reports to the Personal
Data Protection Commission every quarter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from consent_service import clock
from consent_service.consents.export import moments
from consent_service.consents.summary import Summary, summarize
from consent_service.db import Database
from consent_service.errors import ValidationFailed
from consent_service.notices.history import Published, get_version, list_versions
from consent_service.reports import service
from consent_service.reports.quarter import Quarter
from consent_service.reports.report import Question, Report
from consent_service.tenants.service import Site, Tenant, sites_of


@dataclass(frozen=True)
class SiteReport:
    """What is reported of a site."""

    site: Site
    records: Summary
    rates: Report
    #: Versions of the notice that were in force at some time of the quarter, newest first.
    notices: Sequence[Published]
    #: Controller and DPO as the newest of them names them; empty without one.
    controller: Mapping[str, Any]
    dpo: Mapping[str, Any]


@dataclass(frozen=True)
class AuthorityReport:
    """A tenant's report of a quarter."""

    tenant: Tenant
    quarter: Quarter
    made_at: datetime
    #: Whether the quarter was over everywhere when this was made.
    complete: bool
    sites: Sequence[SiteReport]


def authority_report(database: Database, tenant: Tenant, quarter: Quarter) -> AuthorityReport:
    """Put together a tenant's report of a quarter, each site by its own time zone.

    :raises ValidationFailed: when the quarter has not begun yet
    :raises Unavailable: when the database cannot do it now
    """
    now = clock.now()
    sites = sites_of(database, tenant.id)
    if any(moments(site, quarter.since, quarter.until)[0] > now for site in sites):
        raise ValidationFailed(fields={"quarter": ["It has not begun yet."]})
    return AuthorityReport(
        tenant=tenant,
        quarter=quarter,
        made_at=now,
        complete=all(moments(site, quarter.since, quarter.until)[1] <= now for site in sites),
        sites=[_of_site(database, site, quarter) for site in sites],
    )


def shown(report: AuthorityReport) -> dict[str, Any]:
    """Return the report as JSON values."""
    return {
        "tenant": report.tenant.slug,
        "quarter": str(report.quarter),
        "from": report.quarter.since.isoformat(),
        "to": report.quarter.until.isoformat(),
        "made_at": clock.rfc3339(report.made_at),
        "complete": report.complete,
        "sites": [
            {
                "site_key": each.site.site_key,
                "name": each.site.name,
                "records_made": each.records.made,
                "records_erased": each.records.erased,
                "rates": service.shown(each.rates),
                "notices": [
                    {
                        "version": notice.version,
                        "published_at": clock.rfc3339(notice.published_at),
                        "policy_version": notice.policy_version,
                        "material": notice.material,
                        "content_hash": notice.content_hash,
                    }
                    for notice in each.notices
                ],
            }
            for each in report.sites
        ],
    }


def _of_site(database: Database, site: Site, quarter: Quarter) -> SiteReport:
    since, before = moments(site, quarter.since, quarter.until)
    notices = _in_force(list_versions(database, site), since, before)
    content = get_version(database, site, notices[0].version).content if notices else {}
    question = Question(
        site_key=site.site_key,
        since=quarter.since,
        until=min(quarter.until, service.today(site)),
    )
    return SiteReport(
        site=site,
        records=summarize(database, site, since, before),
        rates=service.ask(database, site, question),
        notices=notices,
        controller=content.get("controller", {}),
        dpo=content.get("dpo", {}),
    )


def _in_force(versions: Sequence[Published], since: datetime, before: datetime) -> list[Published]:
    """Return the versions, newest first, that held at some time from a moment on."""
    found = []
    for version in versions:
        if version.published_at < before:
            found.append(version)
        if version.published_at <= since:
            break
    return found
