"""What may come in: odd queries, cookies and methods. Never another answer, never a grant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import Client, TestResponse

from tests.builders import ORIGIN, Service

GATE = "/v1/gate?site=site_test&purpose=analytics"
COOKIE = "cookie_consent_test"


def reason(response: TestResponse) -> str:
    assert response.status_code == 200, response.get_data(as_text=True)
    return str(response.get_json()["decisions"]["analytics"]["reason"])


# Queries


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 404, "unknown_site"),
        ("purpose=analytics", 404, "unknown_site"),
        ("site=site_other&purpose=analytics", 404, "unknown_site"),
        ("site=&site=site_test&purpose=analytics", 404, "unknown_site"),
        ("site=site_test%00&purpose=analytics", 404, "unknown_site"),
        ("site=SITE_TEST&purpose=analytics", 404, "unknown_site"),
        ("site=site_test;purpose=analytics", 404, "unknown_site"),
        ("site=site_test", 422, "validation_failed"),
        ("site=site_test&purpose=", 422, "validation_failed"),
        ("site=site_test&purpose=analytics&purpose=", 422, "validation_failed"),
        ("site=site_test&purpose=analytics&purpose=nothing", 422, "validation_failed"),
        ("site=site_test&purpose=analytics,preferences", 422, "validation_failed"),
        ("site=site_test&purpose=%ff", 422, "validation_failed"),
        ("site=site_test&purpose=+analytics", 422, "validation_failed"),
        ("site=site_test&purpose=analytics%0d%0aX-Consent-Reason:x", 422, "validation_failed"),
        (f"site=site_test&purpose={'a' * 100_000}", 422, "validation_failed"),
        # A page that says it wrongly may mean that the signal is on.
        ("site=site_test&purpose=analytics&gpc=true", 422, "validation_failed"),
        ("site=site_test&purpose=analytics&gpc=", 422, "validation_failed"),
        ("site=site_test&purpose=analytics&gpc=11", 422, "validation_failed"),
    ],
)
@pytest.mark.parametrize("entry", ["", "/auth"])
def test_a_question_put_badly_is_an_error(  # noqa: PLR0913
    shared: Service, behind: Client, entry: str, query: str, status: int, code: str
) -> None:
    for client in (shared.client, behind):
        response = client.get(f"/v1/gate{entry}?{query}")
        assert (response.status_code, response.get_json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    "query",
    [
        "purpose=analytics&site=site_test",
        "site=site%5Ftest&purpose=%61nalytics",
        "site=site_test&site=site_other&purpose=analytics",
        "site=site_test&purpose=analytics&unknown=1&&=&;",
        "site=site_test&" + "purpose=analytics&" * 3000,
    ],
)
def test_a_question_put_oddly_is_answered(shared: Service, behind: Client, query: str) -> None:
    for client in (shared.client, behind):
        response = client.get(f"/v1/gate?{query}")
        assert list(response.get_json()["decisions"]) == ["analytics"]
        assert reason(response) == "no_choice"


pieces = st.sampled_from(
    [
        *("site", "purpose", "service", "site_test", "site_object", "analytics", "session"),
        *("pageviews", "=", "=", "=", "&", "&", "&", ";", "+", "%", "%20", "%26", "%3D", "%ff"),
        *(
            "gpc=1",
            "gpc=0",
            "gpc=",
            "gpc",
            "1",
            "%00",
            "site=site_test",
            "purpose=analytics",
            "service=pageviews",
            "é",
            "#",
            "?",
            '"',
        ),
    ]
)


@given(parts=st.lists(pieces, max_size=12), entry=st.sampled_from(["", "/auth", "/script"]))
def test_flask_reads_a_query_as_the_layer_in_front_does(
    shared: Service, behind: Client, parts: list[str], entry: str
) -> None:
    # The environment holds bytes as ISO 8859-1 (PEP 3333).
    query = {"QUERY_STRING": "".join(parts).encode().decode("latin-1")}
    front, back = (
        client.get(f"/v1/gate{entry}", environ_overrides=query)
        for client in (shared.client, behind)
    )
    assert (front.status, front.data) == (back.status, back.data)


@pytest.mark.parametrize("header", ["1", "1, 1", "0, 1", "1,0"])
@pytest.mark.parametrize("said", ["", "&gpc=0", "&gpc=1"])
def test_no_page_can_turn_off_the_signal_that_the_browser_sends(
    shared: Service, behind: Client, header: str, said: str
) -> None:
    """Several lines with the header come as one, and one of them is enough."""
    for client in (shared.client, behind):
        assert reason(client.get(f"{GATE}{said}", headers={"Sec-GPC": header})) == "gpc"


# Tokens in headers and cookies


def test_the_header_outranks_the_cookie(shared: Service, behind: Client) -> None:
    grant, refusal = shared.token(analytics=True), shared.token(analytics=False)
    for client in (shared.client, behind):
        for header, cookie, expected in (
            (grant, refusal, "granted"),
            (refusal, grant, "refused"),
            ("forged", grant, "invalid_token"),
        ):
            held = {"X-Consent-Token": header, "Cookie": f"{COOKIE}={cookie}"}
            assert reason(client.get(GATE, headers=held)) == expected


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ("{name}={grant}", "granted"),
        ("{name}={refusal}", "refused"),
        ("a=b; {name}={refusal}; c=d", "refused"),
        ("a=b;{name}={refusal};c=d", "refused"),
        ("a=b;  {name}={refusal} ; c", "refused"),
        ("{name} = {refusal}", "refused"),
        ("=;;; {name}={refusal}", "refused"),
        ("{name}={refusal}; {name}={grant}", "refused"),
        ("{name}={grant}; {name}={refusal}", "granted"),
        ("{name}_choices={grant}; {name}={refusal}", "refused"),
        ("x{name}={grant}; {name}={refusal}", "refused"),
        ('other="open; {name}={refusal}', "refused"),
        ("na\xc3\xafve=caf\xc3\xa9; {name}={refusal}", "refused"),
        ("{name}=forged", "invalid_token"),
        ("{name}=forged; {name}={grant}", "invalid_token"),
        ('{name}="{grant}"', "invalid_token"),
        ("{name}={grant} {grant}", "invalid_token"),
        ("{name}=\xff\xfe", "invalid_token"),
        ("{name}=", "opt_out_default"),
        ("{name}", "opt_out_default"),
        ("COOKIE_CONSENT_OBJECT={grant}", "opt_out_default"),
        ("other={grant}", "opt_out_default"),
    ],
)
def test_the_token_is_found_among_the_cookies(
    shared: Service, behind: Client, cookies: str, expected: str
) -> None:
    tokens = {
        name: shared.choose(
            {"analytics": granted, "preferences": False}, site_key="site_object"
        ).get_json()["token"]
        for name, granted in (("grant", True), ("refusal", False))
    }
    header = cookies.format(name="cookie_consent_object", **tokens)
    for client in (shared.client, behind):
        response = client.get(
            GATE.replace("site_test", "site_object"), environ_overrides={"HTTP_COOKIE": header}
        )
        assert reason(response) == expected


@pytest.mark.parametrize("header", ["HTTP_COOKIE", "HTTP_X_CONSENT_TOKEN"])
@pytest.mark.parametrize("entry", ["", "/auth", "/script"])
def test_a_header_that_came_and_cannot_be_read_denies(
    shared: Service, behind: Client, header: str, entry: str
) -> None:
    """The server leaves a header with a byte beyond ASCII empty; a refusal may have been in it."""
    query = {"site": "site_object", "purpose": "analytics", "service": "pageviews"}
    unreadable = {header: ""}
    for client in (shared.client, behind):
        response = client.get(f"/v1/gate{entry}", query_string=query, environ_overrides=unreadable)
        assert "invalid_token" in response.get_data(as_text=True) + str(response.headers)
        assert response.status_code == (403 if entry == "/auth" else 200)


cookie_pieces = st.sampled_from(
    [COOKIE, "=", "=", ";", ";", " ", "\t", '"', "\\", ",", "a", "b=c", f"{COOKIE}=", "{token}"]
)


@given(parts=st.lists(cookie_pieces, max_size=10))
def test_flask_reads_cookies_as_the_layer_in_front_does(
    shared: Service, behind: Client, parts: list[str]
) -> None:
    header = "".join(parts).replace("{token}", "1~site_test~forged.mac")
    front, back = (
        reason(client.get(GATE, environ_overrides={"HTTP_COOKIE": header}))
        for client in (shared.client, behind)
    )
    assert front == back


# Methods and CORS


@pytest.mark.parametrize("entry", ["", "/auth", "/script"])
def test_head_says_what_get_says_without_the_body(shared: Service, entry: str) -> None:
    query = {"site": "site_test", "purpose": "analytics", "service": "pageviews"}
    address = f"/v1/gate{entry}"
    got, head = (
        shared.client.open(address, method=method, query_string=query) for method in ("GET", "HEAD")
    )
    assert (head.status, head.data) == (got.status, b"")
    assert head.headers.get("X-Consent-Reason") == got.headers.get("X-Consent-Reason")


@pytest.mark.parametrize("entry", ["", "/auth", "/script"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_the_gate_is_only_asked_with_get(shared: Service, entry: str, method: str) -> None:
    token = shared.token()
    query = {"site": "site_test", "purpose": "analytics", "service": "pageviews"}
    response = shared.client.open(
        f"/v1/gate{entry}",
        method=method,
        query_string=query,
        headers={"X-Consent-Token": token},
        data="x" * 20_000,
    )
    assert response.status_code == 405
    assert response.get_json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/gate/", "/v1/gates", "/v1/gate/auth/", "/v1/gate/x"])
def test_only_its_own_addresses_are_the_gate(shared: Service, path: str) -> None:
    response = shared.client.get(f"{path}?site=site_test&purpose=session")
    assert response.status_code == 404


def test_pages_of_the_site_may_read_the_answer_and_a_new_token(
    shared: Service, behind: Client
) -> None:
    for client in (shared.client, behind):
        headers = client.get(GATE, headers={"Origin": ORIGIN}).headers
        assert headers["Access-Control-Allow-Origin"] == ORIGIN
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert "X-Consent-Token" in headers["Access-Control-Expose-Headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "", f"{ORIGIN}.evil.example"])
def test_pages_of_others_may_not(shared: Service, behind: Client, origin: str) -> None:
    for client in (shared.client, behind):
        headers = client.get(GATE, headers={"Origin": origin}).headers
        assert "Access-Control-Allow-Origin" not in headers


def test_browsers_are_told_beforehand_which_headers_they_may_send(shared: Service) -> None:
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "x-consent-token",
    }
    response = shared.client.options(GATE, headers=asked)
    assert response.status_code == 200
    assert "X-Consent-Token" in response.headers["Access-Control-Allow-Headers"]
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_nobody_keeps_an_answer_that_depends_on_the_visitor(shared: Service) -> None:
    for entry in ("", "/auth", "/script"):
        query = {"site": "site_test", "purpose": "analytics", "service": "pageviews"}
        headers = shared.client.get(f"/v1/gate{entry}", query_string=query).headers
        assert headers["Cache-Control"] == "no-store"
        assert {name.strip() for name in headers["Vary"].split(",")} >= {
            "Cookie",
            "Origin",
            "Sec-GPC",
            "X-Consent-Token",
        }


# The script entry


@pytest.mark.parametrize(
    "name",
    [
        "https://evil.example/x.js",
        "//evil.example/x.js",
        "/evil.js",
        "javascript:alert(1)",
        "https://app.example.com/analytics.js",
        "Page views",
        "nothing",
        "analytics",
        "",
        "pageviews\r\nLocation: https://evil.example/",
    ],
)
def test_the_script_entry_sends_nobody_to_an_address_from_the_question(
    shared: Service, behind: Client, name: str
) -> None:
    token = shared.token()
    for client in (shared.client, behind):
        response = client.get(
            "/v1/gate/script",
            query_string={"site": "site_test", "service": name, "url": name, "loader": name},
            headers={"X-Consent-Token": token},
        )
        assert response.status_code in {404, 422}
        assert "Location" not in response.headers


def test_further_members_of_the_question_do_not_change_where_the_script_is(
    shared: Service,
) -> None:
    response = shared.client.get(
        "/v1/gate/script?site=site_test&service=pageviews&service=https://evil.example/x.js"
        "&loader=https://evil.example/x.js&purpose=session",
        headers={"X-Consent-Token": shared.token()},
    )
    assert response.status_code == 302
    assert response.headers["Location"] == "https://app.example.com/analytics.js"


def test_asking_about_an_essential_purpose_as_well_loads_no_script(shared: Service) -> None:
    response = shared.client.get("/v1/gate/script?site=site_test&service=pageviews&purpose=session")
    assert (response.status_code, response.data) == (200, b"/* not loaded: no_choice */\n")
