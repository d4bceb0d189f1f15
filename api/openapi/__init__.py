"""The API's description: OpenAPI 3.1 from which clients are generated, and a page that shows it."""

from api.openapi.document import describe, operation_id, written
from api.openapi.pages import router

__all__ = ["describe", "operation_id", "router", "written"]
