"""Opens the ways to all payment providers, for whichever worker has to speak with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from activities.payment.payments import PaymentGateway
from adapters.payment.call_limit import CallLimit
from adapters.payment.iyzico.gateway import IyzicoGateway
from adapters.payment.payu.gateway import PayUGateway
from adapters.payment.stripe.gateway import StripeGateway
from config.settings import Settings, secret


@asynccontextmanager
async def open_gateways(settings: Settings) -> AsyncIterator[Mapping[str, PaymentGateway]]:
    """The gateways by name; each keeps its connections until the end."""
    timeout = settings.payment_timeout
    async with AsyncExitStack() as stack:
        redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=1)
        stack.push_async_callback(redis.aclose)
        stripe = StripeGateway(
            secret(settings.stripe_api_key),
            base_url=settings.stripe_api_base,
            total_seconds=timeout,
            limit=_limit(redis, StripeGateway.name, settings.stripe_calls_per_second),
        )
        iyzico = IyzicoGateway(
            secret(settings.iyzico_api_key),
            secret(settings.iyzico_secret_key),
            base_url=settings.iyzico_api_base,
            total_seconds=timeout,
            limit=_limit(redis, IyzicoGateway.name, settings.iyzico_calls_per_second),
        )
        payu = PayUGateway(
            secret(settings.payu_pos_id),
            secret(settings.payu_client_secret),
            notify_url=f"{settings.api_url}/v1/webhooks/payu",
            validity_seconds=int(settings.payment_window),
            base_url=settings.payu_api_base,
            total_seconds=timeout,
            limit=_limit(redis, PayUGateway.name, settings.payu_calls_per_second),
        )
        for gateway in (stripe, iyzico, payu):
            stack.push_async_callback(gateway.close)
        yield {stripe.name: stripe, iyzico.name: iyzico, payu.name: payu}


def _limit(redis: Redis, provider: str, calls_per_second: float | None) -> CallLimit | None:
    return CallLimit(redis, provider, calls_per_second) if calls_per_second else None
