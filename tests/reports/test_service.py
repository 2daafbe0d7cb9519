"""Questions about a site are answered from its own rollups, whole and in steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest

from consent_service.access.actor import OPERATOR
from consent_service.errors import ValidationFailed
from consent_service.reports.periods import Period, steps_of
from consent_service.reports.questions import Compared
from consent_service.reports.report import Group, Question, Rate, Report, Step
from consent_service.reports.service import (
    ask,
    rows,
    set_smallest_group,
    shown,
    smallest_group,
)
from consent_service.tenants.service import Site, create_tenant
from tests.builders import Service, make_service
from tests.reports.builders import SINCE, UNTIL, Crowd, fill_with

_numbers = count()


@pytest.fixture(scope="module")
def house(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("questions")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'consent.db')}"
    service = make_service(url, folder)
    yield service
    service.built.database.close()


def site_with(house: Service, *crowds: Crowd) -> Site:
    """Make a site whose rollups count these crowds."""
    site = house.add_site(f"site_{next(_numbers)}")
    fill_with(house.built.database, site, *crowds)
    return site


def report_on(  # noqa: PLR0913 - each has a default
    house: Service,
    site: Site,
    where: tuple[str, str] | None = None,
    group: str | None = None,
    step: Step | None = None,
    *,
    compare_with: Compared | None = None,
) -> Report:
    """Ask about the month."""
    question = Question(site.site_key, SINCE, UNTIL, where, group, step)
    return ask(house.built.database, site, question, compare_with=compare_with)


def of(group: Group, name: str, purpose: str | None = None) -> Rate:
    """Return one rate of a group."""
    (found,) = [each for each in group.rates if (each.name, each.purpose) == (name, purpose)]
    return found


def sizes(groups: object) -> dict[str | None, int | None]:
    """Return how many impressions each group has; None where it is hidden."""
    assert isinstance(groups, list | tuple)
    return {group.value: None if group.hidden else group.counts.get("shown", 0) for group in groups}


CROWD = Crowd(shown=100, answers=50, accepted=20)


def test_only_the_days_of_the_period_and_the_site_itself_are_counted(service: Service) -> None:
    database = service.built.database
    before, after = SINCE - timedelta(1), UNTIL + timedelta(1)
    fill_with(
        database,
        service.site,
        Crowd(before, 1000, 500),
        CROWD,
        Crowd(UNTIL, 30, 20, 10),
        Crowd(after, 1000, 500),
    )
    fill_with(database, service.add_site("site_beside"), Crowd(shown=7000, answers=900))
    tenant = create_tenant(database, "other", "Other Ltd", by=OPERATOR)
    fill_with(database, service.add_site("site_other", tenant), Crowd(shown=7000, answers=900))
    report = report_on(service, service.site, group="country")
    assert report.total.counts["shown"] == 130
    assert of(report.total, "opt_in", "analytics").value == 30 / 70
    assert sizes(report.groups) == {"TZ": 130}
    # A tenant's own number is no other's.
    set_smallest_group(database, service.tenant.id, 20, by=OPERATOR)
    set_smallest_group(database, tenant.id, 500, by=OPERATOR)
    set_smallest_group(database, tenant.id, 1000, by=OPERATOR)
    assert smallest_group(database, tenant.id) == 1000
    assert smallest_group(database, service.tenant.id) == 20
    with pytest.raises(ValidationFailed):
        set_smallest_group(database, tenant.id, 4, by=OPERATOR)
    assert report_on(service, service.site).smallest_group == 20


def test_a_filter_and_a_group_are_crossed_whichever_stands_first(house: Service) -> None:
    site = site_with(
        house,
        CROWD,
        CROWD.of(device_class="desktop", gpc=True),
        Crowd(shown=60, answers=30).of(country="KE"),
        Crowd(shown=70, answers=40).of(country="KE", device_class="desktop"),
    )
    by_device = report_on(house, site, ("country", "KE"), "device_class")
    assert by_device.total.counts["shown"] == 130
    assert sizes(by_device.groups) == {"desktop": 70, "phone": 60}
    by_country = report_on(house, site, ("device_class", "desktop"), "country")
    assert sizes(by_country.groups) == {"TZ": 100, "KE": 70}
    assert of(by_country.groups[0], "gpc").value == 1
    # Groups that nobody is in are not there.
    assert sizes(report_on(house, site, ("gpc", "on"), "country").groups) == {"TZ": 100}
    nobody = report_on(house, site, ("country", "FR"), "device_class")
    assert (nobody.total.hidden, nobody.total.counts, nobody.groups) == (False, {}, [])


def test_groups_of_choices_have_no_rates_over_impressions(house: Service) -> None:
    site = site_with(house, Crowd(shown=100, answers=50, accepted=40, withdrawn=15))
    report = report_on(house, site, group="surface")
    banner, preferences = report.groups
    assert (banner.value, preferences.value) == ("banner", "preferences")
    assert of(banner, "interaction").reason == "no_data"
    assert of(banner, "accept_all").value == 0.8
    assert of(preferences, "withdrawal").value == 1
    assert of(report.total, "interaction").value == 0.5


@pytest.mark.parametrize(
    ("since", "until", "step", "ends"),
    [
        ("2026-09-29", "2026-10-02", "day", ["09-29", "09-30", "10-01", "10-02"]),
        ("2026-09-02", "2026-09-16", "week", ["09-06", "09-13", "09-16"]),
        ("2026-09-07", "2026-09-13", "week", ["09-13"]),
        ("2026-01-31", "2026-04-01", "month", ["01-31", "02-28", "03-31", "04-01"]),
        ("2026-12-24", "2027-01-03", "month", ["12-31", "01-03"]),
        ("2026-01-01", "2026-04-01", None, ["04-01"]),
    ],
)
def test_steps_are_whole_but_for_the_ends(
    since: str, until: str, step: Step | None, ends: list[str]
) -> None:
    found = steps_of(Period(date.fromisoformat(since), date.fromisoformat(until)), step)
    assert [each.until.isoformat()[5:] for each in found] == ends
    assert found[0].since.isoformat() == since
    for before, after in pairwise(found):
        assert after.since == before.until + timedelta(1)


def test_points_add_up_to_the_period(house: Service) -> None:
    days = [Crowd(SINCE + timedelta(day), 40 + day, 20, 10) for day in range(0, 30, 3)]
    site = site_with(house, *days, *(day.of(country="KE") for day in days))
    for step, points in (("day", 30), ("week", 5), ("month", 1)):
        report = report_on(house, site, None, "country", step)  # type: ignore[arg-type]
        assert len(report.points) == points
        for group, own in (
            (report.total, [point.total for point in report.points]),
            *(
                (group, [point.groups[number] for point in report.points])
                for number, group in enumerate(report.groups)
            ),
        ):
            assert {each.value for each in own} == {group.value}
            added = sum(each.counts.get("shown", 0) for each in own)
            assert added == group.counts["shown"] > 0
    filtered = report_on(house, site, ("country", "KE"), "device_class", "week")
    assert [sizes(point.groups) for point in filtered.points] == [
        {"phone": point.total.counts["shown"]} for point in filtered.points
    ]


def test_days_with_hardly_anybody_are_hidden_and_one_more(house: Service) -> None:
    days = [Crowd(SINCE + timedelta(day), shown) for day, shown in enumerate((50, 3, 20, 0, 90))]
    report = report_on(house, site_with(house, *days), step="day")
    first = [point.total for point in report.points[:5]]
    assert [group.hidden for group in first] == [False, True, True, False, False]
    assert report.total.counts["shown"] == 163
    # By the week there are enough.
    assert not any(
        point.total.hidden
        for point in report_on(house, site_with(house, *days), step="week").points
    )


def test_a_site_with_hardly_anybody_has_no_numbers(house: Service) -> None:
    report = report_on(house, site_with(house, Crowd(shown=500, answers=4)), None, "country", "day")
    assert report.total == Group(None, True, {}, [], None)
    assert (report.groups, report.purposes) == ([], [])
    assert all(point.total.hidden for point in report.points)


def test_a_purpose_that_few_were_asked_about_is_left_out(house: Service) -> None:
    older = Crowd(shown=300, answers=100, accepted=50)
    purposes = ("analytics", "preferences", "maps")

    def newer(answers: int) -> Crowd:
        crowd = Crowd(UNTIL, 300, answers, answers - 1, purposes=purposes)
        return crowd.of(notice_version=2)

    few = report_on(house, site_with(house, older, newer(4)))
    assert few.purposes == ["analytics", "preferences"]
    assert not [name for name in few.total.counts if name.endswith(".maps")]
    assert of(few.total, "opt_in", "analytics").denominator == 104
    enough = report_on(house, site_with(house, older, newer(40)))
    assert enough.purposes == ["analytics", "maps", "preferences"]
    assert of(enough.total, "opt_in", "maps").denominator == 40
    # Version 1, which is hidden with the four, did not ask about it.
    most = Crowd(UNTIL, 900, 200, 90, purposes=purposes).of(notice_version=3)
    site = site_with(house, Crowd(shown=90, answers=30), newer(4), most)
    assert report_on(house, site).purposes == ["analytics", "maps", "preferences"]
    told = report_on(house, site, group="notice_version")
    assert sizes(told.groups) == {"3": 900, "1": None, "2": None}
    assert told.purposes == ["analytics", "preferences"]
    # Four of version 2 cannot be told from the purpose that is new in it.
    versions = site_with(house, older, newer(4), Crowd(UNTIL, 90, 30, 9).of(notice_version=3))
    by_version = report_on(house, versions, group="notice_version")
    assert by_version.purposes == ["analytics", "preferences"]
    assert sizes(by_version.groups) == {"1": 300, "2": None, "3": None}


def test_two_versions_of_the_notice_are_compared(house: Service) -> None:
    newer = Crowd(UNTIL, 400, 300, 200).of(notice_version=2)
    site = site_with(house, Crowd(shown=400, answers=200, accepted=60), newer)
    report = report_on(house, site, group="notice_version", compare_with=("1", "2"))
    verdicts = {(each.rate, each.purpose): each.verdict for each in report.comparisons}
    assert verdicts["interaction", None] == "higher"
    assert verdicts["opt_in", "analytics"] == "higher"
    assert verdicts["reject_all", None] == "lower"
    before = Period(date(2026, 8, 1), date(2026, 8, 31))
    alone = report_on(house, site, compare_with=before)
    assert {each.verdict for each in alone.comparisons} == {"too_few"}


def test_a_file_has_the_numbers_of_the_page(house: Service) -> None:
    small = Crowd(shown=3, answers=2).of(country="DE")
    site = site_with(house, CROWD, CROWD.of(country="KE"), CROWD.of(country="UG"), small)
    report = report_on(house, site, None, "country", "week")
    table = list(rows(report))
    assert len({frozenset(row) for row in table}) == 1
    rates = len(report.total.rates)
    assert len(table) == rates * (1 + 4 + 5 + sum(len(point.groups) for point in report.points))
    page = shown(report)
    whole = [row for row in table if row["step"] is None]
    for group in (page["total"], *page["groups"]):
        own = [row for row in whole if row["group_value"] == group["value"]]
        assert {row["group"] for row in own} == {"country" if group["value"] else None}
        assert {row["hidden"] for row in own} == {group["hidden"]}
        names = ("numerator", "denominator", "value", "low", "high", "reason")
        if group["hidden"]:
            assert {row[name] for row in own for name in names} == {None}
        else:
            for row, rate in zip(own, group["rates"], strict=True):
                assert (row["rate"], row["purpose"]) == (rate["name"], rate["purpose"])
                assert {name: row[name] for name in names} == {name: rate[name] for name in names}
    weeks = [row for row in table if row["step"] == "week"]
    assert {(row["since"], row["until"]) for row in weeks} == {
        (point["from"], point["to"]) for point in page["points"]
    }
    filtered = next(rows(report_on(house, site, ("country", "KE"))))
    assert (filtered["filter"], filtered["filter_value"]) == ("country", "KE")


def test_a_series_that_nobody_could_read_is_refused(house: Service) -> None:
    codes = [f"{first}{second}" for first in "ABCDEFGHIJ" for second in "ABCDEFGH"]
    site = site_with(house, *(CROWD.of(country=code) for code in codes))
    with pytest.raises(ValidationFailed) as raised:
        report_on(house, site, None, "country", "day")
    assert "30 points of 80 groups" in str(raised.value.fields)
    assert len(report_on(house, site, None, "country", "week").points) == 5
