"""Run migrations on the connection that ``consent_service.db`` gives, and grant what is needed."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import ProgrammingError

# The models register their tables with the metadata that autogenerate compares against.
from consent_service.access import models as _access  # noqa: F401
from consent_service.consents import models as _consents  # noqa: F401
from consent_service.db import Base
from consent_service.errors import OperatorError
from consent_service.gate import models as _gate  # noqa: F401
from consent_service.ledger import models as _ledger  # noqa: F401
from consent_service.notices import models as _notices  # noqa: F401
from consent_service.reports import models as _reports  # noqa: F401
from consent_service.tenants import models as _tenants  # noqa: F401


def grant(connection: Connection, user: str) -> None:
    """Give a database user what each table's model says, and nothing more."""
    quoted = connection.dialect.identifier_preparer.quote_identifier(user)
    there = set(inspect(connection).get_table_names())
    rights = {name: table.info["granted"] for name, table in Base.metadata.tables.items()}
    for name, granted in {**rights, "alembic_version": "SELECT"}.items():
        if name in there:
            connection.exec_driver_sql(f"REVOKE ALL ON {name} FROM {quoted}")
            connection.exec_driver_sql(f"GRANT {granted} ON {name} TO {quoted}")


def main() -> None:
    """Migrate, then grant, all in one transaction."""
    connection: Connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    context.run_migrations()
    user: str | None = context.config.attributes["served_by"]
    if user is None:
        return
    try:
        grant(connection, user)
    except ProgrammingError as error:
        raise OperatorError(
            f"The user {user!r} of CONSENT_DATABASE_URL cannot be granted its rights: {error.orig}"
        ) from error


main()
