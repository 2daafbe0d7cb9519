"""Who is signed in, and of which tenants: it joins what ``access`` knows with tenants' names."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask.views import MethodView

from consent_service.access.account import Account
from consent_service.access.auth import csrf_token, current_actor, current_session
from consent_service.access.routes import account
from consent_service.access.schemas import AccountIn, AccountOut
from consent_service.db import Database
from consent_service.tenants.service import tenants_of
from consent_service.wiring import use


@account.route("/account")
class Own(MethodView):
    """The user's own account."""

    @account.response(200, AccountOut)
    def get(self) -> dict[str, Any]:
        """Say who is signed in, with which role in which tenants."""
        session = current_session()
        known = use(Account).known(session)
        tenants = tenants_of(use(Database), known.roles)
        return {
            "id": known.user.id,
            "email": known.user.email,
            "name": known.user.name,
            "language": known.user.language,
            "tenants": [
                {"slug": tenant.slug, "name": tenant.name, "role": known.roles[tenant.id]}
                for tenant in tenants
            ],
            "factors": known.factors,
            "second_factor": session.second_factor,
            "authenticated_at": session.authenticated_at,
            "csrf_token": csrf_token(session),
        }

    @account.arguments(AccountIn)
    @account.response(204)
    def patch(self, given: dict[str, str]) -> Response:
        """Change the name, or the language of the console."""
        use(Account).change(current_session(), **given, by=current_actor())
        return Response(status=204)
