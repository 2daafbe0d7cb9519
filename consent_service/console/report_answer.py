"""A question that the form asked, with its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from consent_service.console.i18n import language
from consent_service.console.report_figures import Figure, breakdown, funnel, over_time
from consent_service.console.report_form import Asked
from consent_service.console.report_subject import Subject
from consent_service.notices.service import NoticeDirectory
from consent_service.reports.report import Report
from consent_service.tenants.service import Site
from consent_service.wiring import use

_FIGURES = {"over-time": over_time, "breakdown": breakdown, "funnel": funnel}


@dataclass(frozen=True)
class Answer:
    """A report, and which rate of it is looked at."""

    site: Site
    asked: Asked
    report: Report

    @cached_property
    def purposes(self) -> Mapping[str, str]:
        """Names of the purposes, by key, in the language of the page where the notice has it."""
        notice = use(NoticeDirectory).get(self.site)
        found = notice.content["purposes"] if notice else []
        return {each["key"]: _text(each["texts"]) for each in found}

    @cached_property
    def subject(self) -> Subject:
        """The rate that is looked at: the first purpose's opt-in, unless another was asked for."""
        first = ("opt_in", self.report.purposes[0]) if self.report.purposes else None
        rate, purpose = self.asked.rate or first or ("interaction", None)
        return Subject(self.report, self.site.name, rate, purpose, self.purposes)

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The charts that there is something for, by key."""
        if self.report.total.hidden:
            return {}
        parts = {"over-time": self.report.points, "breakdown": self.report.groups}
        return {key: draw(self.subject) for key, draw in _FIGURES.items() if parts.get(key, [True])}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted in these days."""
        return not self.report.total.hidden and not any(self.report.total.counts.values())


def _text(texts: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a purpose's name in the page's language, or in the notice's first."""
    return str(texts.get(language(), next(iter(texts.values())))["name"])
