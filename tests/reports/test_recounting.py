"""What is said of a site while all its days are being counted anew."""

from __future__ import annotations

from consent_service.reports.report import Question
from consent_service.reports.rollups import Rollups
from consent_service.reports.service import ask, today
from consent_service.tenants.service import site_of, update_site
from tests.builders import SITE_KEY, Service
from tests.members import sign_in


def test_reports_say_so_until_the_last_day_is_counted(service: Service) -> None:
    database, tenant = service.built.database, service.tenant
    for _ in range(12):
        service.token()
    owner = sign_in(service, "owner")
    changes = {"time_zone": "Pacific/Auckland"}
    update_site(database, service.site, changes, revision=service.site.revision, by=owner.actor)
    site = site_of(database, tenant.id, SITE_KEY)
    begun = Rollups(database).begin_rebuild(site)
    assert begun is not None
    question = Question(SITE_KEY, today(site), today(site))
    assert ask(database, site, question).recounting
    page = f"/console/t/{tenant.slug}/reports?site={SITE_KEY}"
    assert "counted anew" in owner.get(page).text
    while begun.step():
        pass
    report = ask(database, site, question)
    assert not report.recounting
    assert report.total.counts["answers"] == 12
    assert "counted anew" not in owner.get(page).text
