"""The report to the authority: on its page, as JSON and as a PDF, and the same in all."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pypdf import PdfReader
from sqlalchemy import text

from consent_service import clock
from consent_service.access.actor import OPERATOR
from consent_service.reports.quarter import quarter_of
from consent_service.reports.rates import DEFINITIONS
from consent_service.reports.wording import LANGUAGES, texts
from consent_service.tenants.service import create_tenant
from tests.builders import ORIGIN, SITE_KEY, Service, make_service
from tests.members import api_key, sign_in
from tests.reports.builders import Crowd, fill_with

NOW = quarter_of(clock.now().date())
#: Markup of the PDF's own language, and of a page.
NAME = "Shop #strong[x] *y* <b>z</b> $1$"


@pytest.fixture(scope="module")
def reported(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one site, three records of this quarter, one of them erased, and rollups."""
    folder = tmp_path_factory.mktemp("quarterly")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    service = make_service(url, folder)
    service.token()
    service.token()
    erased = service.token()
    headers = {"Origin": ORIGIN, "X-Consent-Token": erased}
    service.client.delete(f"/v1/sites/{SITE_KEY}/consents/me", headers=headers)
    crowd = Crowd(day=NOW.since, shown=2000, answers=1234, accepted=617, withdrawn=17)
    fill_with(service.built.database, service.site, crowd)
    with service.built.database.transaction(service.tenant.id) as connection:
        connection.execute(text("UPDATE sites SET name = :name"), {"name": NAME})
    yield service
    service.built.database.close()


def test_the_quarter_is_reported(reported: Service) -> None:
    answer = reported.client.get(
        f"/v1/reports/quarterly?quarter={NOW}", headers=api_key(reported, "reports:read")
    ).get_json()
    assert answer["complete"] is False
    (site,) = answer["sites"]
    assert (site["records_made"], site["records_erased"]) == (3, 1)
    assert site["rates"]["total"]["counts"]["withdrawals"] == 17
    assert [notice["version"] for notice in site["notices"]] == [1]


def test_a_quarter_before_the_first_notice_has_nothing(reported: Service) -> None:
    answer = reported.client.get(
        "/v1/reports/quarterly?quarter=2020-Q1", headers=api_key(reported, "reports:read")
    ).get_json()
    assert answer["complete"] is True
    (site,) = answer["sites"]
    assert (site["records_made"], site["records_erased"], site["notices"]) == (0, 0, [])


def test_another_tenant_reports_its_own_sites(reported: Service) -> None:
    other = create_tenant(reported.built.database, "other", "Other", by=OPERATOR)
    asked = f"/v1/reports/quarterly?quarter={NOW}"
    answer = reported.client.get(
        asked, headers=api_key(reported, "reports:read", tenant=other)
    ).get_json()
    assert (answer["tenant"], answer["sites"]) == ("other", [])


@pytest.mark.parametrize("quarter", ["", "2026-Q5", "2026", str(NOW.next())])
@pytest.mark.parametrize("form", ["", ".pdf"])
def test_what_cannot_be_reported_is_refused(reported: Service, quarter: str, form: str) -> None:
    answer = reported.client.get(
        f"/v1/reports/quarterly{form}?quarter={quarter}", headers=api_key(reported, "reports:read")
    )
    assert answer.status_code == 422
    assert "quarter" in answer.get_json()["error"]["fields"]


@pytest.mark.parametrize(
    ("language", "number", "words"),
    [("en", "1,234", "Personal Data Protection Commission"), ("sw", "1,234", "Tume ya Ulinzi")],
)
def test_page_and_pdf_say_the_same(
    reported: Service, language: str, number: str, words: str
) -> None:
    answer = reported.client.get(
        f"/v1/reports/quarterly.pdf?quarter={NOW}&lang={language}",
        headers=api_key(reported, "reports:read"),
    )
    assert answer.mimetype == "application/pdf"
    assert f"{NOW}.pdf" in answer.headers["Content-Disposition"]
    pdf = PdfReader(io.BytesIO(answer.data))
    written = " ".join(" ".join(page.extract_text() for page in pdf.pages).split())
    # Tagged, in its language, for who has it read out.
    assert "'/Marked': True" in str(pdf.root_object["/MarkInfo"])
    assert str(pdf.root_object["/Lang"]) == language
    member = sign_in(reported, "auditor")
    page = member.get(f"/console/t/example/reports/quarterly?quarter={NOW}&lang={language}").text
    for said in (number, "2,000", "50.0", words):
        assert said in written
        assert said in page
    assert NAME in written
    assert "&lt;b&gt;z&lt;/b&gt;" in page


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_rate_has_a_name_in_every_language(language: str) -> None:
    assert set(texts(language)["rate_names"]) == {each.name for each in DEFINITIONS}
    assert texts(language).keys() == texts("en").keys()


def test_without_being_asked_the_last_whole_quarter_is_shown(reported: Service) -> None:
    page = sign_in(reported, "dpo").get("/console/t/example/reports/quarterly").text
    assert f'<option value="{NOW.before()}" selected' in page
