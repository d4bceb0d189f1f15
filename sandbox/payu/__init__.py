"""The sandbox's PayU API: what PayU documents about REST API 2.1 of PayU GPO Europe."""

from __future__ import annotations

from sandbox.payu.api import PayUApi
from sandbox.provider_api import Registration

API = Registration(name="payu", build=PayUApi)
