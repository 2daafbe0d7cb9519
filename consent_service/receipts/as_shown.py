"""What the widget was told when a choice was made, put together again from the record. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from consent_service.clock import from_rfc3339
from consent_service.notices.configuration import Notice, configuration
from consent_service.regions.rules import Rule, place_of, rule_for

#: What is drawn for the surfaces that have a layer of their own; for the rest, all purposes.
_LAYERS = {"banner": "banner"}


def configuration_shown(
    record: Mapping[str, Any],
    content: Mapping[str, Any],
    rules: Mapping[str, Rule],
    *,
    site_id: UUID,
    cookie: str,
) -> dict[str, Any]:
    """Return the widget's configuration as the visitor's was.

    :param content: what the record's notice says
    :param rules: today's table, for what a record does not hold: whether the region's law has a
        choice outweigh a privacy signal, and how long the banner stays away
    :param cookie: name of the token's cookie
    """
    created = from_rfc3339(record["created_at"])
    notice = Notice(
        site_id=site_id,
        version=record["notice_version"],
        material_version=record["notice_version"],
        content_hash=record["notice_hash"],
        content=content,
        published_on=created.date(),
    )
    # Of a choice that came from another device, this is what was left of its time.
    remembered = from_rfc3339(record["expires_at"]) - created
    rule = replace(
        rule_for(rules, place_of(record["region"])),
        regime=record["regime"],
        remember_days=round(remembered / timedelta(days=1)),
        version=record["rule_version"],
    )
    return configuration(
        notice,
        site_key=record["site_key"],
        cookie=cookie,
        language=record["language"],
        rule=rule,
        gpc=record["gpc"],
    )


def layer_shown(record: Mapping[str, Any]) -> str:
    """Return the layer that the choice was made on, or the one that says the most of it."""
    return _LAYERS.get(record["surface"], "preferences")
