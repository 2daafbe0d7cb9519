"""Run migrations on the connection that ``consent_service.db`` gives, or print them as SQL."""

from __future__ import annotations

from alembic import context

# The models register their tables with the metadata that autogenerate compares against.
from consent_service.consents import models as _consents  # noqa: F401
from consent_service.db import Base
from consent_service.notices import models as _notices  # noqa: F401
from consent_service.tenants import models as _tenants  # noqa: F401

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
