"""The WSGI application, for servers other than the one ``consent-service serve`` starts."""

from consent_service.app import application

app = application()
