"""The payment service's steps of a booking: take money once, or give all of it back.

No answer of a provider is trusted after a doubt: a step that is repeated retrieves the intent and goes on from what the
provider says. The idempotency keys are ours, made of booking, step and attempt; Temporal is the only retry layer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.payment.amounts import check_payment
from activities.payment.conversations import conversation
from activities.payment.remaining_money import refund_rest
from db.engine import autocommit
from db.payment import attempts, late_payments
from db.payment.attempts import Attempt, AttemptState
from domain.buyers import UNKNOWN, BuyerDetails, SealedBuyer
from domain.domain_events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentWasDeclined,
)
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from domain.payments import (
    AmountRejected,
    Intent,
    IntentState,
    LatePayment,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefundState,
)

_WAIT_TO_BEGIN: Final = 2 / 3
"""The share of a charge's time that may pass before its first call; opening and confirming it take time as well."""


class AuthorizationResult(StrEnum):
    """How an authorization ended, or that the buyer has to act first."""

    AUTHORIZED = "authorized"
    DECLINED = "declined"
    REJECTED = "rejected"  # the provider finds our request wrong
    ACTION_REQUIRED = "action_required"
    LAPSED = "lapsed"  # no charge was started in time; nothing is reserved


class Authorization(BaseModel):
    """What became of an authorization, for certain.

    Attributes:
        code: The provider's code of a decline or rejection.
        is_about_amount: The provider rejects the amount or the currency, whatever the payment method.
        action_url: Where the buyer has to go.
        provider: Who decided.
        message: The provider's own words about a decline or rejection; the first answer alone has them.
    """

    model_config = ConfigDict(frozen=True)

    result: AuthorizationResult
    code: str | None = None
    is_about_amount: bool = False
    action_url: str | None = None
    provider: str | None = None
    message: str | None = None


class Authorize(BaseModel):
    """An order to reserve money.

    Attributes:
        payment_method: The provider's token; None where the buyer chooses on the provider's page.
        return_url: Where the provider sends the buyer afterwards.
        deadline: Until when a charge may be started (UTC, the database's clock).
        exchange_id: The exchange that it is for; None where it is for the booking itself.
        buyer: What the provider's fraud checks get; None if that is nothing.
    """

    model_config = ConfigDict(frozen=True)

    booking_id: UUID
    amount: Money
    provider: str
    payment_method: str | None
    return_url: str
    deadline: AwareDatetime
    exchange_id: UUID | None = None
    buyer: SealedBuyer | None = None


class OfExchange(BaseModel):
    """Attributes: exchange_id: the exchange of one of the booking's seats whose own payment is meant."""

    model_config = ConfigDict(frozen=True)

    booking_id: UUID
    exchange_id: UUID


_UNDECIDED = (IntentState.ACTION_REQUIRED, IntentState.PROCESSING)
_WITH_MONEY = (AttemptState.AUTHORIZED, AttemptState.CAPTURED)


class _VoidRefused(PaymentUnknown):
    """The provider does not void the intent as it stands; the refusal is kept under its key, which is spent by that."""


def _declined(attempt: Attempt, code: str | None, message: str | None = None) -> Authorization:
    return Authorization(result=AuthorizationResult.DECLINED, code=code, provider=attempt.provider, message=message)


def _rejected(attempt: Attempt, rejected: PaymentRejected) -> Authorization:
    return Authorization(
        result=AuthorizationResult.REJECTED,
        code=rejected.code,
        is_about_amount=isinstance(rejected, AmountRejected),
        provider=attempt.provider,
        message=str(rejected),
    )


OpenBuyer = Callable[[SealedBuyer], Awaitable[BuyerDetails]]
"""Opens what a buyer has given; UNKNOWN where that cannot be done."""


async def open_nothing(_: SealedBuyer) -> BuyerDetails:
    """For a process that has no connection to identity."""
    return UNKNOWN


class PaymentActivities:
    """Steps that move a buyer's money."""

    def __init__(
        self, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway], open_buyer: OpenBuyer = open_nothing
    ) -> None:
        self._engine = engine
        self._gateways = gateways
        self._open_buyer = open_buyer

    @activity.defn
    async def authorize(self, order: Authorize) -> Authorization:
        """Reserve the money, or find out what became of the last try; ends only with a certain answer.

        Repeated after its deadline it starts no new charge: it only reads, and voids what is not authorized.
        """
        async with conversation(is_urgent=True):
            async with autocommit(self._engine) as connection:
                attempt = await attempts.open_attempt(
                    connection, order.booking_id, order.provider, order.amount, order.deadline, order.exchange_id
                )
            if attempt is None:
                return Authorization(result=AuthorizationResult.LAPSED)
            if attempt.state is AttemptState.DECLINED:
                return _declined(attempt, attempt.decline_code)
            try:
                return await self._authorize(order, attempt)
            except PaymentUnknown as unknown:
                await self._mint_if_spent(attempt, unknown)
                raise

    async def _authorize(self, order: Authorize, attempt: Attempt) -> Authorization:
        gateway, intent = self._gateways[attempt.provider], None
        if attempt.intent_id is None:
            buyer = await self._open_buyer(order.buyer) if order.buyer else UNKNOWN
            key = attempt.key("create")
            if not await self._may_create(order, attempt):
                await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()), is_unopened=True)
                return Authorization(result=AuthorizationResult.LAPSED)
            try:
                intent = await gateway.create(
                    order.booking_id, order.amount, key=key, return_url=order.return_url, buyer=buyer
                )
            except PaymentRejected as rejected:
                await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()), is_unopened=True)
                return _rejected(attempt, rejected)
            attempt = await self._note_intent(attempt, intent)
        assert attempt.intent_id
        if intent is None or intent.id != attempt.intent_id:
            intent = await gateway.retrieve(attempt.intent_id)
        check_payment(attempt, intent, "authorize")
        method = order.payment_method
        if intent.state is IntentState.OPEN and method and await self._may_confirm(order, attempt):
            try:
                intent = await gateway.confirm(
                    intent.id, method, return_url=order.return_url, key=attempt.key("confirm")
                )
            except PaymentDeclined as declined:
                return await self._decline(attempt, intent, declined.code, str(declined))
            except PaymentRejected as rejected:
                await self._void(attempt, intent)
                return _rejected(attempt, rejected)
            check_payment(attempt, intent, "authorize")
        return await self._conclude(attempt, intent)

    async def _may_create(self, order: Authorize, attempt: Attempt) -> bool:
        """Wait for a turn, unless too little time would be left for the charge: then no call is spent on it."""
        left = await self._seconds_left(order)
        try:
            async with asyncio.timeout(left * _WAIT_TO_BEGIN):
                await self._gateways[attempt.provider].keep_turn(begins=True)
        except TimeoutError:
            return False
        return left > 0

    async def _may_confirm(self, order: Authorize, attempt: Attempt) -> bool:
        if attempt.decline_code or attempt.state is AttemptState.ACTION_REQUIRED:
            return False
        # Wait first: if the deadline were checked before the wait for a turn, the charge could come too late.
        await self._gateways[attempt.provider].keep_turn()
        return await self._seconds_left(order) > 0

    async def _seconds_left(self, order: Authorize) -> float:
        async with autocommit(self._engine) as connection:
            return await attempts.seconds_left(connection, order.deadline)

    async def _conclude(self, attempt: Attempt, intent: Intent) -> Authorization:
        if intent.state in (IntentState.AUTHORIZED, IntentState.CAPTURED):
            await self._reach(attempt, AttemptState.AUTHORIZED, PaymentAuthorized)
            return Authorization(result=AuthorizationResult.AUTHORIZED)
        if intent.state in (IntentState.ACTION_REQUIRED, IntentState.PROCESSING):
            await self._reach(attempt, AttemptState.ACTION_REQUIRED, None)
            url = intent.action_url or attempt.action_url
            return Authorization(result=AuthorizationResult.ACTION_REQUIRED, action_url=url)
        if attempt.decline_code or attempt.state is AttemptState.ACTION_REQUIRED:
            code = attempt.decline_code or intent.decline_code or "authentication_failed"
            return await self._decline(attempt, intent, code)
        await self._void(attempt, intent)
        return Authorization(result=AuthorizationResult.LAPSED)

    async def _decline(self, attempt: Attempt, intent: Intent, code: str, message: str | None = None) -> Authorization:
        async with self._engine.begin() as connection:
            await attempts.note_decline(connection, attempt, code)
        await self._void_at_provider(attempt, intent.id, intent.state)
        await self._close(attempt, AttemptState.DECLINED, PaymentWasDeclined(**attempt.facts(), code=code))
        return _declined(attempt, code, message)

    @activity.defn
    async def capture(self, booking_id: UUID) -> str | None:
        """Take the reserved money.

        Returns:
            The provider's code where it refuses for good (the authorization is gone), else None.
        """
        return await self._capture(booking_id)

    @activity.defn
    async def capture_difference(self, payment: OfExchange) -> str | None:
        """As `capture`, for what an exchange costs."""
        return await self._capture(payment.booking_id, payment.exchange_id)

    async def _capture(self, booking_id: UUID, exchange_id: UUID | None = None) -> str | None:
        async with conversation(is_urgent=True):
            async with autocommit(self._engine) as connection:
                attempt = await attempts.begin_capture(connection, booking_id, exchange_id)
            if attempt is None or attempt.intent_id is None:
                return "no_authorization"
            gateway = self._gateways[attempt.provider]
            doubtful = attempt.captures_asked > 1 or attempt.state is not AttemptState.AUTHORIZED
            try:
                intent = await gateway.retrieve(attempt.intent_id) if doubtful else None
                if intent:
                    check_payment(attempt, intent, "capture")
                if intent is None or intent.state is IntentState.AUTHORIZED:
                    intent = await gateway.capture(attempt.intent_id, key=attempt.key("capture"))
            except PaymentUnknown as unknown:
                await self._mint_if_spent(attempt, unknown)
                raise
            except (PaymentRejected, PaymentDeclined) as refused:
                intent = await gateway.retrieve(attempt.intent_id)
                refusal = refused.code
            else:
                refusal = f"intent_{intent.state}"
            if intent.state in _UNDECIDED:
                raise PaymentUnknown(f"the intent is {intent.state} after its capture was asked for")
            if intent.state is not IntentState.CAPTURED:
                return refusal
            check_payment(attempt, intent, "capture")
            await self._reach(attempt, AttemptState.CAPTURED, PaymentCaptured)
            return None

    @activity.defn
    async def return_money(self, booking_id: UUID) -> None:
        """Void or refund, whichever the provider's own state calls for, until nothing of the buyer's is kept."""
        await self._return_money(lambda connection: attempts.live(connection, booking_id))

    @activity.defn
    async def return_late_money(self, late: LatePayment) -> None:
        """As `return_money`, for this attempt alone: another payment of the booking is left as it is."""
        await self._return_money(lambda connection: late_payments.live(connection, late))

    @activity.defn
    async def return_difference(self, payment: OfExchange) -> None:
        """As `return_money`, for what an exchange costs; the booking's own payment is left alone."""
        await self._return_money(lambda connection: attempts.live(connection, payment.booking_id, payment.exchange_id))

    async def _return_money(self, find: Callable[[AsyncConnection], Awaitable[Attempt | None]]) -> None:
        async with conversation(is_urgent=True):  # seats are free only afterwards
            async with autocommit(self._engine) as connection:
                attempt = await find(connection)
            if attempt is None:
                return
            try:
                await self._return(attempt)
            except PaymentUnknown as unknown:
                await self._mint_if_spent(attempt, unknown)
                raise

    async def _return(self, attempt: Attempt) -> None:
        if attempt.intent_id is None:
            # Whatever the provider may have made of the lost create, it was never confirmed: no money is reserved.
            await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()))
            return
        gateway = self._gateways[attempt.provider]
        intent = await gateway.retrieve(attempt.intent_id)
        if intent.state is IntentState.ACTION_REQUIRED and attempt.state in _WITH_MONEY:
            raise PaymentUnknown("the provider does not know of money that it has reserved or taken")
        if intent.state is not IntentState.CAPTURED:
            await self._void(attempt, intent)
            return
        await self._reach(attempt, AttemptState.CAPTURED, PaymentCaptured)  # so that no domain event is missing
        await self._give_back(attempt, intent)
        await self._close(attempt, AttemptState.REFUNDED, PaymentRefunded(**attempt.facts()))

    async def _give_back(self, attempt: Attempt, intent: Intent) -> None:
        """Refund what is left; done only when the provider says that it succeeded, since what is pending may fail."""
        given = await refund_rest(self._gateways[attempt.provider], intent, attempt, key=attempt.key("refund"))
        if given and given.state is ProviderRefundState.FAILED:
            async with self._engine.begin() as connection:
                await attempts.mint_keys(connection, attempt)
        if given and given.state is not ProviderRefundState.SUCCEEDED:
            raise PaymentUnknown(f"the refund is {given.state}")

    async def _void(self, attempt: Attempt, intent: Intent) -> None:
        try:
            await self._void_at_provider(attempt, intent.id, intent.state)
        except _VoidRefused:
            if not await self._is_undecided(attempt, intent.id):
                raise
            # The provider can neither take it back nor says what becomes of it: seats are not kept for that.
            await self._close(attempt, AttemptState.LEFT, None)
            return
        await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()))

    async def _void_at_provider(self, attempt: Attempt, intent_id: str, state: IntentState) -> None:
        if state is IntentState.VOIDED:
            return
        try:
            await self._gateways[attempt.provider].void(intent_id, key=attempt.key("void"))
        except PaymentRejected as rejected:
            # It changed after it was read. The next try reads it again.
            raise _VoidRefused(f"the intent could not be voided: {rejected.code}", replayed=True) from rejected

    async def _is_undecided(self, attempt: Attempt, intent_id: str) -> bool:
        intent = await self._gateways[attempt.provider].retrieve(intent_id)
        return intent.state in _UNDECIDED

    async def _note_intent(self, attempt: Attempt, intent: Intent) -> Attempt:
        """The attempt with its intent: another one, if another worker was faster."""
        async with autocommit(self._engine) as connection:
            noted = await attempts.note_intent(connection, attempt, intent.id, intent.action_url)
            if noted is None:
                live = await attempts.live(connection, attempt.booking_id, attempt.exchange_id)
                noted = live if live and live.number == attempt.number else None
        if noted is None:
            raise ApplicationError("the attempt has been closed since", type="StaleStep", non_retryable=True)
        return noted

    async def _reach(self, attempt: Attempt, state: AttemptState, event: type[PaymentEvent] | None) -> None:
        async with self._engine.begin() as connection:
            await attempts.reach(connection, attempt, state, event(**attempt.facts()) if event else None)

    async def _close(self, attempt: Attempt, to: AttemptState, event: PaymentEvent | None, **only_if: bool) -> None:
        """Close the attempt; it may be closed already, but not stay open."""
        async with self._engine.begin() as connection:
            if await attempts.reach(connection, attempt, to, event, **only_if):
                return
            live = await attempts.live(connection, attempt.booking_id, attempt.exchange_id)
        if live and live.number == attempt.number:
            raise PaymentUnknown(f"the attempt is {live.state}, and cannot become {to}")

    async def _mint_if_spent(self, attempt: Attempt, unknown: PaymentUnknown) -> None:
        if unknown.replayed:
            async with self._engine.begin() as connection:
                await attempts.mint_keys(connection, attempt)
