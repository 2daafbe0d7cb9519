"""The quarterly report as a PDF: tagged, so that a screen reader reads it too (PDF/UA-1)."""

from __future__ import annotations

import json
from importlib import resources

import typst

from consent_service.reports.authority import AuthorityReport
from consent_service.reports.wording import texts, worded


def authority_pdf(report: AuthorityReport, language: str) -> bytes:
    """Return the report in a language of :data:`consent_service.reports.wording.LANGUAGES`."""
    template = resources.files("consent_service.reports") / "templates" / "authority.typ"
    return typst.compile(
        template.read_bytes(),
        # Data and never source: what a tenant has written stays text.
        sys_inputs={
            "report": json.dumps(worded(report, language)),
            "texts": json.dumps(texts(language)),
        },
        timestamp=report.made_at.replace(microsecond=0),
        pdf_standards=["ua-1"],
        # The fonts that come with it look the same everywhere.
        ignore_system_fonts=True,
    )
