"""Legal holds in the console, without scripts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders import ORIGIN, SITE_KEY, Service, make_service
from tests.console.test_reports import text
from tests.members import sign_in

HERE = "/console/t/example/records/holds"
REASON = "A court has ordered us to keep all records of March."
FORM = {
    "site": SITE_KEY,
    "visitor_id": "",
    "authority": "High Court <b>Dar es Salaam</b>",
    "reference": "Misc. 12/2026",
    "reason": REASON,
}


@pytest.fixture(scope="module")
def made(
    furnished_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("holds")
    service = make_service(
        f"sqlite:///{shutil.copy(furnished_sqlite_template, folder / 'db')}", folder
    )
    yield service
    service.built.database.close()


def test_a_hold_is_looked_at_placed_and_lifted(made: Service) -> None:
    dpo = sign_in(made, "dpo")
    empty = text(dpo.get(HERE))
    assert "Nothing is held" in empty
    assert "section 59 of the Personal Data Protection Act" in empty
    asked = text(dpo.submit(f"{HERE}/new", **FORM))
    assert "The records of all visitors are kept. Where: App." in asked
    assert f"The reason: {REASON}" in asked
    assert "dpo@example.com" in asked
    assert made.rows("legal_holds") == []
    again = dpo.submit(f"{HERE}/edit", **FORM).get_data(as_text=True)
    assert f'value="{REASON}"' in again
    page = text(dpo.get(dpo.submit(HERE, **FORM).location))
    assert "The hold is placed: what it covers is not erased." in page
    assert (
        f"App All visitors High Court &lt;b&gt;Dar es Salaam&lt;/b&gt; Misc. 12/2026 {REASON}"
        in page
    )
    assert "In force" in page
    token = made.token()
    refused = made.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me", headers={"Origin": ORIGIN, "X-Consent-Token": token}
    )
    told = re.sub(r"since \S+", "", refused.get_json()["error"]["message"])
    assert told in re.sub(r"since \S+", "", asked)
    (lift,) = re.findall(rf'href="({HERE}/[^"]+/lift)"', dpo.get(HERE).get_data(as_text=True))
    assert "Lift the hold Misc. 12/2026?" in text(dpo.get(lift))
    assert dpo.submit(lift, reason=" ").status_code == 422
    page = text(dpo.get(dpo.submit(lift, reason="The court has decided.").location))
    assert "The hold is lifted." in page
    assert "In force" not in page
    assert dpo.get(lift).status_code == 404
    log = text(dpo.get("/console/t/example/audit?actor=visitor"))
    assert "A visitor Erasure refused, as it must be kept by order" in log


def test_a_visitors_page_leads_to_a_hold_on_the_visitor(made: Service) -> None:
    visitor_id = made.choose().get_json()["record"]["visitor_id"]
    dpo = sign_in(made, "dpo")
    seen = dpo.get(f"/console/t/example/sites/{SITE_KEY}/visitors/{visitor_id}")
    (there,) = re.findall(rf'href="({HERE}/new[^"]+)"', seen.get_data(as_text=True))
    form = dpo.get(there.replace("&amp;", "&")).get_data(as_text=True)
    assert f'value="{visitor_id}"' in form
    assert f'<option value="{SITE_KEY}" selected>' in form
    asked = dpo.submit(f"{HERE}/new", **FORM | {"visitor_id": visitor_id})
    assert "The records of one visitor are kept." in text(asked)


def test_what_is_wrong_is_said_at_its_field_in_the_language_of_the_page(made: Service) -> None:
    dpo = sign_in(made, "dpo")
    wrong = FORM | {"site": "", "visitor_id": "vis_somebody", "reference": "", "reason": "x" * 501}
    for address in (f"{HERE}/new", HERE):
        response = dpo.submit(address, **wrong)
        assert response.status_code == 422
        page = text(response)
        assert (
            "Site: Name the visitor&#39;s site too: ids of visitors are those of one site." in page
        )
        assert "Number of the order: Write something, in at most 200 characters." in page
        assert "The reason, as visitors read it: Write something, in at most 500" in page
    dpo.submit("/console/account/language", language="sw", next=HERE)
    assert "Andika kitu, kwa herufi 200 kwa wingi." in text(dpo.submit(HERE, **wrong))
    nobody = text(dpo.submit(f"{HERE}/new", **FORM | {"visitor_id": "vis_nobody"}))
    assert "Hakuna kumbukumbu za mgeni kama huyo kwenye tovuti hii." in nobody


def test_an_auditor_sees_holds_and_places_none(made: Service) -> None:
    auditor = sign_in(made, "auditor")
    page = auditor.get(HERE)
    assert page.status_code == 200
    assert "/holds/new" not in page.get_data(as_text=True)
    assert "/lift" not in page.get_data(as_text=True)
    assert sign_in(made, "analyst").get(HERE).status_code == 403
