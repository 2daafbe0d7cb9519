"""A running service takes up what changes around it."""

from __future__ import annotations

from pathlib import Path

import httpx

from consent_service import signing
from tests import servers
from tests.builders import ORIGIN, SITE_KEY, make_service


def test_a_running_service_takes_up_keys_sites_and_notices_by_itself(
    database_url: str, tmp_path: Path
) -> None:
    made = make_service(database_url, tmp_path)
    token = made.token()
    keys_file = made.settings.keys_file
    with servers.service(database_url, keys_file, workers="2") as address:

        def keys() -> list[str]:
            answer = httpx.get(f"{address}/.well-known/jwks.json").json()
            return [key["kid"] for key in answer["keys"]]

        def shown(site_key: str) -> httpx.Response:
            return httpx.get(f"{address}/v1/sites/{site_key}/banner")

        first = keys()
        new = signing.rotate(keys_file, "record")
        signing.rotate(keys_file, "token")
        servers.wait_until(lambda: keys() == [*first, new.id], "the key was not published")
        me = f"{address}/v1/sites/{SITE_KEY}/consents/me"
        assert httpx.get(me, headers={"X-Consent-Token": token}).is_success

        made.add_site("site_later")
        servers.wait_until(lambda: shown("site_later").is_success, "the site was not known")
        made.publish(texts={"en": {"title": "New"}})
        servers.wait_until(
            lambda: shown(SITE_KEY).json()["texts"]["title"] == "New", "the notice was not shown"
        )
        page = httpx.get(f"{address}/v1/sites/site_later/banner", headers={"Origin": ORIGIN})
        assert page.headers["Access-Control-Allow-Origin"] == ORIGIN
    made.built.database.close()
