"""The house's rules about imports that the contracts in setup.cfg cannot say themselves."""

from __future__ import annotations

import configparser
from pathlib import Path

import grimp

ROOT = Path(__file__).parent.parent

#: Files that may speak HTTP, by name, wherever they stand.
KNOW_FLASK = {
    "app",
    "auth",
    "cookies",
    "downloads",
    "limits",
    "logs",
    "routes",
    "web",
    "wiring",
}
#: Pages are HTTP, whatever their subject, and so is the verifier's; reports have more views than
#: one file holds; a tenant's account names tenants in a call about users.
SPEAK_HTTP = (
    "consent_service.console.",
    "consent_service.receipts.verify_page",
    "consent_service.reports.files",
    "consent_service.reports.schedule_views",
    "consent_service.tenants.account",
)

GRAPH = grimp.build_graph("consent_service", include_external_packages=True)


def test_only_the_edge_knows_flask() -> None:
    for framework in GRAPH.modules & {"flask", "flask_limiter", "flask_smorest"}:
        importers = GRAPH.find_modules_that_directly_import(framework)
        others = {name for name in importers if not name.startswith(SPEAK_HTTP)}
        assert {name.rpartition(".")[2] for name in others} <= KNOW_FLASK


def test_the_tables_of_every_feature_are_protected() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / "setup.cfg")
    protected = {
        section["protected_modules"].strip()
        for section in contracts.values()
        if section.get("type") == "protected"
    }
    assert protected == {name for name in GRAPH.modules if name.endswith(".models")}
