"""The page of consent rates, without scripts: it says what the report says."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import TestResponse

from consent_service.access.actor import OPERATOR
from consent_service.access.auth import needed_by
from consent_service.console.report_form import PERIODS, days_of, read
from consent_service.console.report_words import RATES
from consent_service.reports.counting import DIMENSIONS
from consent_service.reports.periods import Period
from consent_service.reports.rates import DEFINITIONS
from consent_service.reports.report import Group, Question, Rate, Report
from consent_service.reports.service import ask, rows, smallest_group, today
from consent_service.tenants.service import create_site, create_tenant
from tests.builders import SITE_KEY, Service, make_service
from tests.console.rates import count_days
from tests.members import Member, sign_in
from tests.reports.builders import Crowd, fill_with

HERE = "/console/t/example/reports"

#: A day that is over, in the middle of a month.
LAST = date(2026, 10, 17)
DAYS = {"period": "own", "from": "2026-09-18", "to": "2026-10-17"}


@pytest.fixture(scope="module")
def counted(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with two months of a site; nothing is changed in it."""
    folder = tmp_path_factory.mktemp("counted")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'db')}"
    made = make_service(url, folder, limit_reads="100000 per minute")
    count_days(made, LAST)
    yield made
    made.built.database.close()


@pytest.fixture
def fresh(sqlite_url: str, tmp_path: Path) -> Iterator[Service]:
    """A service whose site nobody has seen yet."""
    made = make_service(sqlite_url, tmp_path)
    yield made
    made.built.database.close()


@pytest.fixture(scope="module")
def owner(counted: Service) -> Member:
    return sign_in(counted)


def text(response: TestResponse) -> str:
    """Return what a page says, without its markup and without what scripts read."""
    body = response.get_data(as_text=True)
    body = re.sub(r"<script.*?</script>", "", body[body.index("<main") :], flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("\xa0", " ").split())


def ask_page(member: Member, **asked: str) -> TestResponse:
    return member.get(f"{HERE}?{urlencode({**DAYS, **asked})}")


def table(response: TestResponse, key: str) -> list[list[str]]:
    """Return the rows of the table below a chart."""
    body = response.get_data(as_text=True).replace("\xa0", " ")
    figure = body[body.index(f'id="{key}"') :]
    rows = re.findall(r"<tr role=.*?</tr>", figure[: figure.index("</table>")], re.DOTALL)
    return [
        [
            " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in rows
    ]


def drawn(response: TestResponse) -> list[dict[str, Any]]:
    """Return what the page's charts are drawn from."""
    body = response.get_data(as_text=True)
    found = re.findall(r'<script type="application/json">(.*?)</script>', body, re.DOTALL)
    return [json.loads(each) for each in found]


def file(member: Member, key: str, **asked: str) -> list[dict[str, str]]:
    """Return the rows of a chart's file."""
    response = member.get(f"{HERE}/charts/{key}.csv?{urlencode({**DAYS, **asked})}")
    assert response.status_code == 200
    assert f"{key}-{SITE_KEY}-2026-09-18-2026-10-17.csv" in response.headers["Content-Disposition"]
    *rows, _end = csv.DictReader(io.StringIO(response.get_data(as_text=True)))
    return rows


def report(service: Service, **changes: object) -> Report:
    period = {"since": date(2026, 9, 18), "until": LAST}
    question = Question(SITE_KEY, **{**period, **changes})  # type: ignore[arg-type]
    return ask(service.built.database, service.site, question)


def rate(group: Group, name: str, purpose: str | None = None) -> Rate:
    return next(each for each in group.rates if (each.name, each.purpose) == (name, purpose))


def interval(found: Rate) -> str:
    return f"{found.low:.1%} \N{EN DASH} {found.high:.1%}"


def out_of(found: Rate) -> str:
    return f"{found.numerator:,} of {found.denominator:,}"


# What the page says


def test_key_figures_are_those_of_the_report_and_say_what_they_are(
    counted: Service, owner: Member
) -> None:
    total = report(counted).total
    page = text(ask_page(owner))
    for name in ("shown", "answers", "bots"):
        assert f" {total.counts[name]:,} " in page
    for name, purpose in (
        ("opt_in", "analytics"),
        ("opt_in", "preferences"),
        ("interaction", None),
        ("gpc", None),
    ):
        found = rate(total, name, purpose)
        assert f" {found.value:.1%} {interval(found)}, {out_of(found)} " in page
        assert RATES[name].meaning in page
    assert f"Time to choice {total.median_seconds:.1f} s" in page
    assert page.count("What is this? ") == 8
    days = "App · 18 Sep 2026 \N{EN DASH} 17 Oct 2026"
    assert f"{days} Counted up to " in page
    assert "A day is one in Africa/Dar_es_Salaam." in page


def test_tables_have_the_numbers_of_the_report(counted: Service, owner: Member) -> None:
    page = ask_page(owner, group="country", rate="opt_in.analytics", step="week")
    found = report(counted, group="country", step="week")
    by_name = {row[0]: row[1:] for row in table(page, "breakdown")[1:]}
    shown = {group.value: group for group in found.groups if not group.hidden}
    assert len(shown) == 5
    for value, name in (("TZ", "Tanzania"), ("KE", "Kenya"), ("GB", "United Kingdom")):
        of_country = rate(shown[value], "opt_in", "analytics")
        assert by_name[name] == [
            f"{of_country.value:.1%}",
            interval(of_country),
            out_of(of_country),
        ]
    heads, *rows = table(page, "over-time")
    assert heads[:3] == ["Days", "Tanzania", "Kenya"]
    assert [row[0] for row in rows][:2] == [
        "18 Sep \N{EN DASH} 20 Sep",
        "21 Sep \N{EN DASH} 27 Sep",
    ]
    of_kenya = [
        rate(next(group for group in point.groups if group.value == "KE"), "opt_in", "analytics")
        for point in found.points
    ]
    assert [row[2] for row in rows] == [
        f"{each.value:.1%} {interval(each)}, {out_of(each)}" for each in of_kenya
    ]
    drawn_lines, drawn_bars, drawn_steps = drawn(page)
    assert drawn_lines["series"][1]["label"] == "Kenya"
    for name in ("low", "high"):
        assert drawn_lines["series"][1][name] == [getattr(each, name) for each in of_kenya]
    assert drawn_lines["series"][1]["values"] == [each.value for each in of_kenya]
    bars = dict(zip(drawn_bars["labels"], drawn_bars["series"][0]["values"], strict=True))
    assert bars["Kenya"] == rate(shown["KE"], "opt_in", "analytics").value
    assert drawn_steps["series"][0]["values"][:2] == [
        found.total.counts[name] for name in ("shown", "answers")
    ]
    steps = {row[0]: row[1:] for row in table(page, "funnel")[1:]}
    shown_to, answers = (found.total.counts[name] for name in ("shown", "answers"))
    assert steps["Answered"] == [f"{answers:,}", f"{answers / shown_to:.1%}"]


def test_a_file_has_the_numbers_of_the_table(owner: Member) -> None:
    asked = {"group": "country", "rate": "opt_in.analytics", "step": "month"}
    page = ask_page(owner, **asked)
    for (name, *cells), row in zip(
        table(page, "breakdown")[1:], file(owner, "breakdown", **asked), strict=True
    ):
        if row["reason"]:
            assert (cells[0], row["reason"]) == ("fewer than 10 people", "fewer_than_10"), name
            assert {row[column] for column in ("numerator", "denominator", "rate", "low")} == {""}
        else:
            assert cells[0] == f"{float(row['rate']):.1%}"
            assert cells[1] == f"{float(row['low']):.1%} \N{EN DASH} {float(row['high']):.1%}"
            assert cells[2] == f"{int(row['numerator']):,} of {int(row['denominator']):,}"
    lines = file(owner, "over-time", **asked)
    heads, *rows = table(page, "over-time")
    assert len(lines) == len(rows) * (len(heads) - 1)
    assert [line["since"] for line in lines[:: len(heads) - 1]] == ["2026-09-18", "2026-10-01"]
    assert rows[0][1].startswith(f"{float(lines[0]['rate']):.1%}")
    steps = file(owner, "funnel", **asked)
    assert [f"{int(step['visitors']):,}" for step in steps] == [
        row[1] for row in table(page, "funnel")[1:]
    ]


def test_a_file_holds_nothing_that_a_spreadsheet_would_run(fresh: Service) -> None:
    crowd = Crowd(LAST, shown=50, answers=40, accepted=20)
    fill_with(fresh.built.database, fresh.site, crowd.of(language="-cmd"))
    (row,) = file(sign_in(fresh, "analyst"), "breakdown", group="language")
    assert row["group"] == "'-cmd"


def test_small_groups_are_hidden_and_it_says_why(owner: Member) -> None:
    page = ask_page(owner, group="country")
    rows = {row[0]: row[1:] for row in table(page, "breakdown")[1:]}
    assert rows["Burundi"] == ["fewer than 10 people", "\N{EN DASH}", "\N{EN DASH}"]
    assert "so is the next smallest group where the hidden one could be worked" in text(page)
    drawn = page.get_data(as_text=True)
    assert "Burundi" not in re.findall(r'"kind": ?"bars".*?</script>', drawn, re.DOTALL)[0]
    alone = text(ask_page(owner, where="country:BI"))
    assert "Here are fewer than 10 people." in alone
    assert "What is this?" not in alone


def test_only_the_largest_groups_are_lines_and_it_says_so(owner: Member) -> None:
    page = ask_page(owner, group="country", step="month")
    assert len(table(page, "over-time")[0]) == 1 + 5
    assert "The chart has the 5 largest of 7 groups." in text(page)


@pytest.mark.parametrize(
    ("compare", "sides", "says"),
    [
        (
            {"compare": "previous"},
            ("19 Aug 2026 \N{EN DASH} 17 Sep 2026", "18 Sep 2026 \N{EN DASH} 17 Oct 2026"),
            "which may well be chance.",
        ),
        (
            {"compare": "groups", "group": "device_class", "left": "phone", "right": "desktop"},
            ("Phone", "Computer"),
            "percentage points lower, which is unlikely to be chance.",
        ),
        (
            {"compare": "groups", "group": "device_class", "left": "desktop", "right": "phone"},
            ("Computer", "Phone"),
            "percentage points higher, which is unlikely to be chance.",
        ),
        (
            {"compare": "groups", "group": "country", "left": "TZ", "right": "BI"},
            ("Tanzania", "Burundi fewer than 10 people"),
            "There are too few people on one of the sides",
        ),
    ],
)
def test_a_comparison_is_in_plain_words_with_both_numbers(
    owner: Member, compare: dict[str, str], sides: tuple[str, str], says: str
) -> None:
    page = text(ask_page(owner, rate="opt_in.analytics", **compare))
    compared = page[page.index("Compared: Opt-in: analytics in English") : page.index(says)]
    places = [compared.index(side) for side in sides]
    assert places == sorted(places)
    of = len(re.findall(r"[\d.]+% \([\d.]+% . [\d.]+%, [\d,]+ of [\d,]+\)", compared))
    assert of == (1 if "BI" in compare.values() else 2)


def test_both_numbers_of_a_comparison_are_those_of_the_two_periods(
    counted: Service, owner: Member
) -> None:
    page = text(ask_page(owner, rate="interaction", compare="previous"))
    before = report(counted, since=date(2026, 8, 19), until=date(2026, 9, 17)).total
    now = report(counted).total
    for group in (before, now):
        found = rate(group, "interaction")
        assert f"{found.value:.1%} ({found.low:.1%}" in page
        assert f"{found.numerator:,} of {found.denominator:,})" in page


def test_more_answers_than_banners_is_no_rate_over_a_hundred(fresh: Service) -> None:
    crowd = Crowd(LAST, shown=30, answers=40, accepted=20)
    fill_with(fresh.built.database, fresh.site, crowd)
    page = ask_page(sign_in(fresh, "dpo"), rate="interaction")
    assert "Interaction More answers than banners shown" in text(page)
    assert "something hides from us that the banner was shown" in text(page)
    assert table(page, "funnel")[2] == ["Answered", "40", "No data"]


# What the form asks for


def test_every_rate_and_dimension_has_words_and_a_page(owner: Member) -> None:
    assert set(RATES) == {each.name for each in DEFINITIONS}
    for each in DEFINITIONS:
        key = f"{each.name}.preferences" if each.per_purpose else each.name
        page = ask_page(owner, rate=key, group="device_class", step="week")
        assert f'<option value="{key}" selected>' in page.get_data(as_text=True)
        assert RATES[each.name].meaning in text(page)
    for dimension in DIMENSIONS:
        page = ask_page(owner, group=dimension, step="month")
        assert page.status_code == 200
        assert f'<option value="{dimension}" selected>' in page.get_data(as_text=True)


def test_what_is_asked_for_stays_in_the_form_and_in_every_link(owner: Member) -> None:
    asked = {
        "site": SITE_KEY,
        "rate": "accept_all",
        "where": "country:TZ",
        "group": "device_class",
        "step": "week",
        "compare": "previous",
    }
    body = ask_page(owner, **asked).get_data(as_text=True)
    for value in asked.values():
        assert f'<option value="{value}" selected>' in body
    assert 'name="from" value="2026-09-18"' in body
    assert 'name="to" value="2026-10-17"' in body
    links = re.findall(r'href="(/console/t/example/reports/[^"]+\.[^"]+)"', body)
    assert len(links) == 3 + 4 + 3
    for link in links:
        for part in urlencode({**DAYS, **asked}).split("&"):
            assert part in link.replace("&amp;", "&")
    assert "App · 18 Sep 2026" in body
    assert "Country: Tanzania" in body


def test_a_filter_is_of_those_people_alone(counted: Service, owner: Member) -> None:
    page = ask_page(owner, where="country:KE", rate="opt_in.analytics")
    found = report(counted, where=("country", "KE")).total
    assert table(page, "funnel")[1][1] == f"{found.counts['shown']:,}"
    assert f"{found.counts['answers']:,}" == table(page, "funnel")[2][1]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"site": "site_other"}, "Site: Choose one of the list."),
        ({"period": "forever"}, "Period: Choose one of the list."),
        ({"from": "yesterday"}, "From: Not a valid date."),
        ({"from": "2026-10-18"}, "Until: The last day is before the first."),
        ({"to": "2999-01-01"}, "Until: It must not be after today"),
        ({"from": "2001-01-01"}, "From: A report is about 1830 days at most."),
        ({"from": "2023-01-01", "step": "day"}, "at most 400 are given."),
        ({"rate": "happiness"}, "Rate: Choose one of the list."),
        ({"rate": "opt_in"}, "Rate: Choose one of the list."),
        ({"where": "surface:banner"}, "Only: Choose one of the list."),
        ({"where": "country:<b>"}, "Only: Choose one of the list."),
        ({"group": "shoe_size"}, "Tell apart by: Choose one of the list."),
        ({"group": "country", "where": "country:TZ"}, "not both at once."),
        ({"group": "surface", "where": "country:TZ"}, "Only all visitors together"),
        ({"step": "hour"}, "Step: Choose one of the list."),
        ({"compare": "everything"}, "Compare with: Choose one of the list."),
    ],
)
def test_what_cannot_be_asked_is_said_at_its_field(
    owner: Member, asked: dict[str, str], says: str
) -> None:
    page = ask_page(owner, **asked)
    assert page.status_code == 422
    assert says in text(page)
    assert ask_page(owner).status_code == 200


@pytest.mark.parametrize("period", [each for each in PERIODS if each != "own"])
def test_a_period_ends_where_it_says_and_the_days_before_are_as_many(period: str) -> None:
    for now in (date(2026, 1, 1), date(2026, 3, 31), date(2028, 2, 29), date(2026, 12, 31)):
        asked = read({"period": period}, SITE_KEY, now)
        since, until = asked.question.since, asked.question.until
        assert (since, until) == days_of(period, now)
        if period.isdecimal():
            assert (until, (until - since).days + 1) == (now, int(period))
        else:
            assert since.day == 1
            assert until == now or period == "last_month"
        if period == "last_month":
            assert (until + timedelta(days=1)) == now.replace(day=1)
            assert (since.year, since.month) == (until.year, until.month)
        if period == "quarter":
            assert since.month in {1, 4, 7, 10}
            assert 0 <= now.month - since.month <= 2
        assert asked.before.until == since - timedelta(days=1)
        assert asked.before.days == Period(since, until).days


# Who sees what


def test_without_anything_to_show_the_page_says_what_to_do(fresh: Service) -> None:
    database = fresh.built.database
    owner = sign_in(fresh)
    page = text(owner.get(HERE))
    assert "Nothing is counted yet" in page
    assert "Script tag of the site" in page
    assert f'href="/console/t/example/sites/{SITE_KEY}"' in owner.get(HERE).get_data(as_text=True)
    fill_with(database, fresh.site, Crowd(LAST, shown=50, answers=40, accepted=20))
    later = {"from": "2026-10-18", "to": "2026-10-18"}
    assert "Nothing was counted in these days" in text(ask_page(owner, **later))
    newcomer = sign_in(fresh, tenant=create_tenant(database, "new", "Duka Jipya", by=OPERATOR))
    page = text(newcomer.get("/console/t/new/reports"))
    assert "No site yet" in page


def test_rates_are_for_who_may_see_them_and_of_the_tenant_alone(fresh: Service) -> None:
    database = fresh.built.database
    fill_with(database, fresh.site, Crowd(LAST, shown=50, answers=40, accepted=20))
    assert 'class="card settings"' not in ask_page(sign_in(fresh, "analyst")).get_data(True)
    developer = sign_in(fresh, "developer")
    assert developer.get(HERE).status_code == 403
    assert developer.get(f"{HERE}/charts/funnel.csv").status_code == 403
    assert "/reports" not in developer.get("/console/t/example/sites").get_data(as_text=True)
    hostile = create_tenant(database, "hostile", "Hostile Ltd", by=OPERATOR)
    create_site(database, hostile, "Theirs", ["https://theirs.example"], by=OPERATOR)
    other = sign_in(fresh, tenant=hostile)
    page = other.get(f"/console/t/hostile/reports?site={SITE_KEY}")
    assert page.status_code == 422
    assert "App" not in text(page)
    assert other.get(HERE).status_code == 404
    assert other.get(f"{HERE}/charts/funnel.csv").status_code == 404


def test_a_chart_that_is_not_there_has_no_file(owner: Member) -> None:
    assert owner.get(f"{HERE}/charts/breakdown.csv?{urlencode(DAYS)}").status_code == 404
    assert owner.get(f"{HERE}/charts/pie.csv?{urlencode(DAYS)}").status_code == 404
    hidden = urlencode({**DAYS, "where": "country:BI"})
    assert owner.get(f"{HERE}/charts/funnel.csv?{hidden}").status_code == 404


def test_who_may_says_which_groups_are_too_small(service: Service) -> None:
    database, tenant = service.built.database, service.tenant
    crowd = Crowd(LAST, shown=50, answers=40, accepted=20)
    few = Crowd(LAST, shown=20, answers=15, accepted=5).of(country="KE")
    fill_with(database, service.site, crowd, few, crowd.of(country="UG"))
    dpo, analyst = sign_in(service, "dpo"), sign_in(service, "analyst")
    asked = urlencode({**DAYS, "group": "country"})
    settings = f"{HERE}/settings?{asked}"
    assert analyst.submit(settings, smallest_group="5").status_code == 403
    wrong = dpo.submit(settings, smallest_group="4.5")
    assert "Give a number from 5 to 1000." in text(dpo.get(wrong.location))
    assert smallest_group(database, tenant.id) == 10
    saved = dpo.submit(settings, smallest_group="30")
    assert saved.status_code == 303
    page = dpo.get(saved.location)
    # What can be looked at alone is what there is in these days.
    assert re.findall(r'value="(country:\w+)"', page.get_data(as_text=True)) == [
        "country:KE",
        "country:TZ",
        "country:UG",
    ]
    assert "smaller groups are hidden from now on" in text(page)
    assert ["Kenya", "fewer than 30 people", *["\N{EN DASH}"] * 2] in table(page, "breakdown")
    assert smallest_group(database, tenant.id) == 30


def test_the_page_speaks_swahili(owner: Member) -> None:
    owner.client.set_cookie("lang", "sw")
    page = ask_page(owner, group="country", compare="previous", step="week")
    owner.client.delete_cookie("lang")
    told = text(page)
    assert 'lang="sw"' in page.get_data(as_text=True)
    for words in ("Viwango vya ridhaa", "Mwitikio", "chini ya watu 10", "Ujerumani", "18 Sep"):
        assert words in told
    for words in ("What is", "Show", "Interval", "fewer", "people", "chance", "over time"):
        assert words not in told


def test_today_is_the_last_day_unless_another_is_asked_for(counted: Service) -> None:
    body = sign_in(counted, "auditor").get(HERE).get_data(as_text=True)
    assert f'name="to" value="{today(counted.site)}"' in body
    assert '<option value="30" selected>' in body


def test_all_numbers_are_there_as_files_of_each_kind(counted: Service, owner: Member) -> None:
    asked = {"group": "country", "step": "month", "where": "language:en"}
    body = ask_page(owner, **asked).get_data(as_text=True)
    links = re.findall(r'href="(/console/t/example/reports/(?:rates|records)\.[^"]+)"', body)
    assert len(links) == 4 + 3
    question = Question(SITE_KEY, date(2026, 9, 18), LAST, ("language", "en"), "country", "month")
    expected = list(rows(ask(counted.built.database, counted.site, question)))
    for link in links[:4]:
        response = owner.get(link.replace("&amp;", "&"))
        assert response.status_code == 200
        name = f"rates-{SITE_KEY}-2026-09-18-2026-10-17"
        assert name in response.headers["Content-Disposition"]
        if "rates.csv" in link:
            *found, _end = csv.DictReader(io.StringIO(response.get_data(as_text=True)))
            assert [(row["group_value"], row["rate"], row["numerator"]) for row in found] == [
                (row["group_value"] or "", row["rate"], str(row["numerator"] or 0))
                if not row["hidden"]
                else (row["group_value"] or "", row["rate"], "")
                for row in expected
            ]
    assert owner.get(f"{HERE}/rates.pdf?{urlencode(DAYS)}").status_code == 404


def test_records_are_taken_along_with_ids_by_who_may_look_them_up(fresh: Service) -> None:
    record = fresh.choose().get_json()["record"]
    fill_with(fresh.built.database, fresh.site, Crowd(LAST, shown=50, answers=40, accepted=20))
    for role, with_ids in (("dpo", True), ("analyst", False)):
        member = sign_in(fresh, role)
        taken = member.get(f"{HERE}/records.ndjson").get_data(as_text=True)
        assert record["id"] in taken
        assert (record["visitor_id"] in taken) is with_ids
        page = text(ask_page(member))
        assert f"The records of these days, {'with' if with_ids else 'without'} the ids" in page
    events = sign_in(fresh).get("/console/t/example/audit.ndjson").get_data(as_text=True)
    assert events.count("records.exported") == 2
    with fresh.built.flask.app_context():
        needed = needed_by("workspace.records_file", "GET")
    assert needed is not None
    assert needed.permission == "records:export"


def test_a_series_of_too_many_groups_is_of_longer_steps(fresh: Service) -> None:
    crowds = [
        Crowd(LAST, shown=50, answers=40, accepted=20).of(country=f"{first}{second}")
        for first in "ABCDEFGHIJ"
        for second in "KLMNOPQ"
    ]
    fill_with(fresh.built.database, fresh.site, *crowds)
    owner = sign_in(fresh)
    page = ask_page(owner, group="country")
    assert page.status_code == 200
    # Seventy countries of thirty days would be more than 2,000.
    assert len(table(page, "over-time")) == 1 + 5
    assert "The chart has the 15 largest of 70 groups." in text(page)
    told = ask_page(owner, group="country", step="day")
    assert told.status_code == 422
    assert "Step: These are 30 points of 70 groups each" in text(told)
