"""The provider APIs of the sandbox: the only list of them."""

from __future__ import annotations

from sandbox import iyzico, payu, stripe

APIS = (stripe.API, iyzico.API, payu.API)
