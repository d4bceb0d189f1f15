"""iyzico's API: the Checkout Form with pre-authorization, and the calls for its payments."""

from __future__ import annotations

from sandbox.iyzico.api import IyzicoApi
from sandbox.iyzico.messages import WANTED
from sandbox.provider_api import EndpointDefaults, Registration

API = Registration(
    name="iyzico",
    build=IyzicoApi,
    endpoint=EndpointDefaults(types=WANTED, variable="SEATWRIGHT_IYZICO_SECRET_KEY", secrets="sandbox-secret-key"),
)
