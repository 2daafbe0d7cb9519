"""Sites, keys, the audit log and records in the console, without scripts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

import consent_service
from consent_service.access.actor import OPERATOR
from consent_service.console.actions import ACTIONS
from consent_service.console.regions import regime_name, region_name
from consent_service.regions.rules import REGIMES
from consent_service.regions.service import newest_rules
from consent_service.tenants.service import create_tenant, find_site, sites_of
from tests.builders import ORIGIN, SITE_KEY, Service
from tests.members import Member, sign_in

HERE = "/console/t/example"
SITE = f"{HERE}/sites/{SITE_KEY}"


def text(response: TestResponse) -> str:
    """Return what a page says, without its markup."""
    body = response.get_data(as_text=True)
    return " ".join(re.sub(r"<[^>]+>", " ", body[body.index("<main") :]).split())


def then(member: Member, response: TestResponse) -> str:
    """Return what the page says that a form leads to."""
    assert response.status_code == 303, text(response)
    return text(member.get(response.location))


def fields(response: TestResponse) -> dict[str, str]:
    """Return the hidden fields of a page's form."""
    body = response.get_data(as_text=True)
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', body))


# Sites


def test_a_site_is_added_changed_and_shown_as_it_is(service: Service) -> None:
    member = sign_in(service, "developer")
    made = member.submit(
        f"{HERE}/sites/new",
        name=" Shop <i> ",
        allowed_origins="https://shop.example.com\n\nhttps://m.example.com ",
        cookie_domain="example.com",
        time_zone="America/New_York",
        region=["GB", "US-CA", "", "TZ"],
        regime=["opt_out", "opt_in", "opt_in", ""],
    )
    page = then(member, made)
    assert "The site was made." in page
    assert "Shop &lt;i&gt;" in page
    assert "United Kingdom (GB) Ask first (opt_in) Allow objection (opt_out)" in page
    site = sites_of(service.built.database, service.tenant.id)[-1]
    assert site.allowed_origins == {"https://shop.example.com", "https://m.example.com"}
    assert site.regime_overrides == {"GB": "opt_out", "US-CA": "opt_in"}
    assert site.time_zone == "America/New_York"
    assert "Time zone America/New York" in page
    listed = text(member.get(f"{HERE}/sites"))
    assert "Shop &lt;i&gt;" in listed
    address = f"{HERE}/sites/{site.site_key}/edit"
    form = fields(member.get(address))
    chosen = '<option value="America/New_York" selected>'
    assert chosen in member.get(address).get_data(as_text=True)
    changed = member.submit(address, revision=form["revision"], name="Shop", allowed_origins=ORIGIN)
    assert "The site was saved." in then(member, changed)
    again = find_site(service.built.database, site.site_key)
    assert (again.name, again.cookie_domain, again.regime_overrides) == ("Shop", None, {})
    assert again.time_zone == "America/New_York"


def test_a_form_that_was_wrong_keeps_what_was_written(service: Service) -> None:
    member = sign_in(service, "developer")
    wrong = {"name": "x" * 201, "allowed_origins": "app.example.com", "cookie_domain": "Com"}
    wrong |= {"time_zone": "Dar es Salaam"}
    for address in (f"{HERE}/sites/new", f"{SITE}/edit"):
        answer = member.submit(address, revision="1", region="GB", regime="opt_out", **wrong)
        assert answer.status_code == 422
        body = answer.get_data(as_text=True)
        assert "app.example.com</textarea>" in body
        assert 'value="Com"' in body
        assert '<option value="opt_out" selected>' in body
        for told in (
            "Give a name of at most 200",
            "is not an origin",
            "Write it like example",
            "Use a name of the IANA",
        ):
            assert told in body
    assert len(sites_of(service.built.database, service.tenant.id)) == 1


def test_who_changes_what_somebody_else_has_changed_sees_both(service: Service) -> None:
    first, second = sign_in(service), sign_in(service, "developer")
    for member, name, status in ((first, "First", 303), (second, "Second", 409)):
        answer = member.submit(f"{SITE}/edit", revision="1", name=name, allowed_origins=ORIGIN)
        assert answer.status_code == status
    page = text(answer)
    assert "Somebody else has changed this" in page
    assert "First" in page
    assert "Second" in page
    assert find_site(service.built.database, SITE_KEY).name == "First"


def test_a_link_key_is_shown_once(service: Service) -> None:
    member = sign_in(service, "developer")
    made = member.submit(f"{SITE}/link-keys")
    (secret,) = re.findall(r"link_[A-Za-z0-9_-]{43}", made.get_data(as_text=True))
    assert "In use" in text(member.get(SITE))
    assert secret not in member.get(SITE).get_data(as_text=True)
    asked = member.get(f"{SITE}/link-keys/1/retire")
    assert "Retire link key 1?" in text(asked)
    assert "Link key 1 is retired." in then(member, member.submit(f"{SITE}/link-keys/1/retire"))
    assert member.submit(f"{SITE}/link-keys/1/retire").status_code == 404


def test_who_only_looks_is_offered_nothing_to_change(service: Service) -> None:
    service.add_link_key()
    analyst, auditor = sign_in(service, "analyst"), sign_in(service, "auditor")
    page = analyst.get(SITE).get_data(as_text=True)
    for offered in ("/edit", "Make a link key", "Retire"):
        assert offered not in page
    assert "Add a site" not in text(analyst.get(f"{HERE}/sites"))
    for address in (f"{HERE}/sites/new", f"{SITE}/edit", f"{SITE}/link-keys"):
        assert analyst.submit(address, name="x").status_code == 403
    for room in ("keys", "audit", "records"):
        assert analyst.get(f"{HERE}/{room}").status_code == 403
        assert auditor.get(f"{HERE}/{room}").status_code == 200
    assert auditor.get(f"{HERE}/keys/new").status_code == 403


def test_pages_of_another_tenant_are_as_ones_that_do_not_exist(service: Service) -> None:
    hostile = create_tenant(service.built.database, "hostile", "Hostile Ltd", by=OPERATOR)
    other = sign_in(service, "owner", hostile)
    record = service.choose().get_json()["record"]
    theirs = "/console/t/hostile"
    for address in (
        HERE,
        f"{HERE}/keys",
        f"{theirs}/sites/{SITE_KEY}",
        f"{theirs}/sites/{SITE_KEY}/edit",
        f"{theirs}/records/{record['id']}",
        f"{theirs}/sites/{SITE_KEY}/visitors/{record['visitor_id']}",
    ):
        assert other.get(address, follow_redirects=True).status_code == 404, address
    found = other.get(f"{theirs}/records", query_string={"q": record["visitor_id"]})
    assert "Nothing was found" in text(found)


# Keys


def test_a_key_is_made_by_its_scopes_rotated_and_revoked(service: Service) -> None:
    member = sign_in(service, "developer")
    form = member.get(f"{HERE}/keys/new").get_data(as_text=True)
    assert "Ask the gate about many visitors at once." in form
    assert "records:read" not in form
    made = member.submit(f"{HERE}/keys/new", name="Pipe <b>", scopes=["gate:batch"], days="30")
    (secret,) = re.findall(r"ck_[A-Za-z0-9_-]{43}", made.get_data(as_text=True))
    headers = {"Authorization": f"Bearer {secret}"}
    question = {"site": SITE_KEY, "purpose": "analytics", "visitors": ["vis_x"]}

    def ask() -> int:
        return service.client.post("/v1/gate/batch", json=question, headers=headers).status_code

    assert ask() == 200
    listed = member.get(f"{HERE}/keys")
    assert secret not in listed.get_data(as_text=True)
    assert "Pipe &lt;b&gt;" in text(listed)
    (key_id,) = set(re.findall(r"/keys/([0-9a-f-]{36})/rotate", listed.get_data(as_text=True)))
    assert "For how long the old key goes on" in text(member.get(f"{HERE}/keys/{key_id}/rotate"))
    rotated = member.submit(f"{HERE}/keys/{key_id}/rotate", overlap_hours="24")
    assert "The key before it ends" in text(rotated)
    assert ask() == 200
    assert "Rotated, ends soon" in text(member.get(f"{HERE}/keys"))
    assert member.get(f"{HERE}/keys/{key_id}/rotate").status_code == 404
    assert "Revoke the key Pipe" in text(member.get(f"{HERE}/keys/{key_id}/revoke"))
    assert "is revoked." in then(member, member.submit(f"{HERE}/keys/{key_id}/revoke"))
    assert ask() == 401


def test_a_key_that_is_not_right_is_asked_for_again(service: Service) -> None:
    member = sign_in(service, "developer")
    for scopes in ([], ["records:read"]):
        wrong = member.submit(f"{HERE}/keys/new", name="", scopes=scopes, days="90")
        assert wrong.status_code == 422
        assert "Give a name" in text(wrong)
        assert '<option value="90" selected>' in wrong.get_data(as_text=True)
    assert "No API key yet" in text(member.get(f"{HERE}/keys"))


def test_whoever_was_away_proves_to_be_there_before_a_key_is_made(service: Service) -> None:
    member = sign_in(service, "developer")
    member.prove_long_ago()
    for address in (f"{HERE}/keys/new", f"{SITE}/link-keys"):
        answer = member.submit(address, name="x", scopes=["sites:read"])
        assert answer.status_code == 303
        assert "/console/account/prove?" in answer.location
    assert service.rows("api_keys") == service.rows("link_keys") == []


# The audit log


def test_the_log_is_narrowed_down_and_exported_as_it_is_shown(service: Service) -> None:
    auditor, member = sign_in(service, "auditor"), sign_in(service, "developer", name="Neema")
    member.submit(f"{SITE}/edit", revision="1", name="Shop", allowed_origins=ORIGIN)
    whole = text(auditor.get(f"{HERE}/audit"))
    assert "Neema 192.0.2.0/24 Site changed site_test" in whole
    assert "The operator Notice published" in whole
    query = {"action": "site.updated", "actor": str(member.user_id)}
    page = auditor.get(f"{HERE}/audit", query_string=query)
    assert "Neema" in text(page)
    assert "The operator Notice published" not in text(page)
    assert "name App Shop" in text(page)
    body = page.get_data(as_text=True).replace("&amp;", "&")
    (link,) = re.findall(r'href="([^"]*audit\.csv\?[^"]*)"', body)
    rows = auditor.get(link).get_data(as_text=True).split("\r\n")
    assert [row.split(",")[0] for row in rows[2:]] == ["#end", ""]
    nothing = auditor.get(f"{HERE}/audit", query_string={"object": "nobody"})
    assert "No event is like this" in text(nothing)


def test_the_log_leads_from_page_to_page(service: Service) -> None:
    auditor = sign_in(service, "auditor")
    for number in range(60):
        create_tenant(service.built.database, f"t{number}", "x", by=OPERATOR)
        service.add_link_key()
    page = auditor.get(f"{HERE}/audit").get_data(as_text=True).replace("&amp;", "&")
    (older,) = re.findall(r'rel="next" href="([^"]*)"', page)
    last = text(auditor.get(older))
    assert "Tenant made" in last
    assert last.count("Link key made") >= 10


@pytest.mark.parametrize("query", [{"from": "x"}, {"actor": "x"}, {"cursor": "x"}], ids=str)
def test_a_search_that_is_not_right_is_an_answer_all_the_same(
    service: Service, query: dict[str, str]
) -> None:
    answer = sign_in(service, "auditor").get(f"{HERE}/audit", query_string=query)
    assert answer.status_code == 422
    assert "Please correct this first" in text(answer)


def test_every_action_that_is_logged_has_words() -> None:
    named = re.compile(r"[a-z_]+\.[a-z_]+")
    logged = set()
    for module in Path(consent_service.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text("utf-8"))):
            name = getattr(call.func, "attr", "") if isinstance(call, ast.Call) else ""
            if isinstance(call, ast.Call) and name in {"write", "note"}:
                texts = [part.value for part in call.args if isinstance(part, ast.Constant)]
                logged |= {each for each in texts if named.fullmatch(str(each))}
    assert len(logged) > 15
    assert logged <= set(ACTIONS)


def test_every_region_and_regime_has_a_name(service: Service) -> None:
    with service.built.flask.test_request_context():
        names = {code: region_name(code) for code in newest_rules()}
        assert len(set(names.values())) == len(names)
        assert not [code for code, name in names.items() if name == code or "-" in name]
        assert len({regime_name(regime) for regime in REGIMES}) == len(REGIMES)


# Records


def test_a_record_is_readable_and_the_look_is_logged(service: Service) -> None:
    dpo = sign_in(service, "dpo")
    made = service.choose().get_json()
    record = made["record"]
    answer = dpo.get(f"{HERE}/records", query_string={"q": made["receipt_url"]})
    page = text(dpo.get(answer.location))
    for told in (
        "analytics in English (analytics) Allowed",
        "preferences in English (preferences) Not allowed",
        "Chose by purpose",
        "On the banner",
        "Version 1, as shown",
        "Signature Right",
        record["id"],
    ):
        assert told in page, told
    found = dpo.get(f"{HERE}/records", query_string={"q": record["visitor_id"]})
    visitor = text(dpo.get(found.location))
    assert "analytics Granted" in visitor
    said = [event["action"] for event in service.rows("audit_events")]
    assert said[-2:] == ["record.read", "record.read"]


def test_a_record_leads_to_its_receipt_and_says_where_the_ledger_has_it(service: Service) -> None:
    dpo = sign_in(service, "dpo")
    made = service.choose().get_json()
    address = f"{HERE}/records/{made['record']['id']}"
    assert "Ledger Not yet" in text(dpo.get(address))
    service.sequencer.run([service.site])
    answer = dpo.get(address)
    assert "Ledger Index 0 of 1 entries" in text(answer)
    page = made["receipt_url"].replace("/receipt.json", "/receipt.html")
    assert f'href="{page.replace("&", "&amp;")}"' in answer.get_data(as_text=True)


def test_what_nobody_holds_is_not_found(service: Service) -> None:
    dpo, record = sign_in(service, "dpo"), service.choose().get_json()["record"]
    nobody = dpo.get(f"{HERE}/records", query_string={"q": "vis_" + "x" * 22})
    assert nobody.status_code == 404
    assert "Nothing was found" in text(nobody)
    assert dpo.get(f"{HERE}/records", query_string={"q": record["id"][:-1]}).status_code == 404
    gone = dpo.get(f"{HERE}/records/{service.tenant.id}")
    assert gone.status_code == 404


def test_an_erased_record_says_so(service: Service) -> None:
    dpo = sign_in(service, "dpo")
    made = service.choose().get_json()
    service.client.delete(
        f"/v1/sites/{SITE_KEY}/consents/me",
        headers={"Origin": ORIGIN, "X-Consent-Token": made["token"]},
    )
    page = text(dpo.get(f"{HERE}/records/{made['record']['id']}"))
    assert "The visitor had this record erased." in page
    assert "Receipt link" not in page
    held = dpo.get(f"{SITE}/visitors/{made['record']['visitor_id']}")
    assert "This visitor had everything erased." in text(held)
