"""Opens the gateways of all payment providers, for each worker that pays."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio import Redis

from adapters.payment import registry
from adapters.payment.adapter import GatewayOptions
from adapters.payment.call_limit import CallLimit
from adapters.payment.registry import ADAPTERS
from adapters.payment.settings import GatewaySettings
from config.settings import Settings
from domain.payment_gateway import PaymentGateway
from workers.temporal.measured_gateway import MeasuredGateway
from workers.temporal.redis_clients import open_for_limits


def read_gateway_settings(settings: Settings) -> Mapping[str, GatewaySettings]:
    """What the gateways need, by the names of their providers.

    Raises:
        ValueError: A variable is missing or wrong.
    """
    return registry.read_gateway_settings(settings.provider_variables, settings.development_sandbox)


@asynccontextmanager
async def open_gateways(settings: Settings) -> AsyncIterator[Mapping[str, PaymentGateway]]:
    """The gateways by name; each keeps its connections until the end."""
    async with AsyncExitStack() as stack:
        redis = open_for_limits(settings)
        stack.push_async_callback(redis.aclose)
        gateways: dict[str, PaymentGateway] = {}
        for name, own in read_gateway_settings(settings).items():
            gateways[name] = MeasuredGateway(ADAPTERS[name].open_gateway(own, _options(settings, redis, name, own)))
            stack.push_async_callback(gateways[name].close)
        yield gateways


def _options(settings: Settings, redis: Redis, name: str, own: GatewaySettings) -> GatewayOptions:
    return GatewayOptions(
        total_seconds=settings.payment_timeout,
        webhook_url=f"{settings.api_url}/v1/webhooks/{name}",
        payment_window_seconds=settings.payment_window,
        limit=CallLimit(redis, name, own.calls_per_second) if own.calls_per_second else None,
    )
