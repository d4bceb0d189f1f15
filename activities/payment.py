"""The payment service's steps of a booking: take money once, or give all of it back.

No answer of a provider is trusted after a doubt: a step that is repeated retrieves the intent and goes on from what the
provider says. The idempotency keys are ours, made of booking, step and attempt; Temporal is the only retry layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.conversation import conversation
from db.payment import attempts
from db.payment.attempts import Attempt, AttemptState
from domain.domain_events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentWasDeclined,
)
from domain.money import Money
from domain.payments import (
    GivingBack,
    GivingBackState,
    Intent,
    IntentState,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
)


class PaymentGateway(Protocol):
    """One payment provider. Every method may raise the errors of `domain.payments`.

    Attributes:
        name: As clients name it.
        manual_capture: Whether money can be reserved first and taken later.
    """

    name: str
    manual_capture: bool

    async def create(self, booking_id: UUID, amount: Money, *, key: str) -> Intent: ...
    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent: ...
    async def retrieve(self, intent_id: str) -> Intent: ...
    async def capture(self, intent_id: str, *, key: str) -> Intent: ...
    async def void(self, intent_id: str, *, key: str) -> Intent: ...
    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent: ...
    async def retrieve_refund(self, intent_id: str, *, key: str) -> GivingBack | None:
        """The refund that was made under this key, as it stands now; None where there is none."""


class AuthorizationResult(StrEnum):
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    REJECTED = "rejected"  # the provider finds our request wrong
    ACTION_REQUIRED = "action_required"
    LAPSED = "lapsed"  # no charge was started in time; nothing is reserved


class Authorization(BaseModel):
    """What became of an authorization, for certain.

    Attributes:
        code: The provider's code of a decline or rejection.
        action_url: Where the buyer has to go.
    """

    model_config = ConfigDict(frozen=True)

    result: AuthorizationResult
    code: str | None = None
    action_url: str | None = None


class Authorize(BaseModel):
    """Attributes: deadline: until when a charge may be started (UTC, the database's clock)."""

    model_config = ConfigDict(frozen=True)

    booking_id: UUID
    amount: Money
    provider: str
    payment_method: str
    return_url: str
    deadline: AwareDatetime


class PaymentActivities:
    """Steps that move a buyer's money."""

    def __init__(self, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway]) -> None:
        self._engine = engine
        self._gateways = gateways

    @activity.defn
    async def authorize(self, order: Authorize) -> Authorization:
        """Reserve the money, or find out what became of the last try; ends only with a certain answer.

        Repeated after its deadline it starts no new charge: it only looks up, and voids what is not authorized.
        """
        async with conversation():
            async with self._engine.begin() as connection:
                attempt = await attempts.open_attempt(
                    connection, order.booking_id, order.provider, order.amount, order.deadline
                )
            if attempt is None:
                return Authorization(result=AuthorizationResult.LAPSED)
            try:
                return await self._authorize(order, attempt)
            except PaymentUnknown as unknown:
                await self._mint_if_spent(attempt, unknown)
                raise

    async def _authorize(self, order: Authorize, attempt: Attempt) -> Authorization:
        gateway = self._gateways[attempt.provider]
        if attempt.intent_id is None:
            try:
                intent = await gateway.create(order.booking_id, order.amount, key=attempt.key("create"))
            except PaymentRejected as rejected:
                await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**_facts(attempt)))
                return Authorization(result=AuthorizationResult.REJECTED, code=rejected.code)
            attempt = await self._note_intent(attempt, intent.id)
        else:
            intent = await gateway.retrieve(attempt.intent_id)
        if intent.state is IntentState.OPEN and await self._may_confirm(order, attempt):
            try:
                intent = await gateway.confirm(
                    intent.id, order.payment_method, return_url=order.return_url, key=attempt.key("confirm")
                )
            except PaymentDeclined as declined:
                return await self._decline(attempt, intent, declined.code)
            except PaymentRejected as rejected:
                await self._void(attempt, intent)
                return Authorization(result=AuthorizationResult.REJECTED, code=rejected.code)
        return await self._conclude(attempt, intent)

    async def _may_confirm(self, order: Authorize, attempt: Attempt) -> bool:
        if attempt.decline_code or attempt.state is AttemptState.ACTION_REQUIRED:
            return False
        async with self._engine.connect() as connection:
            return await attempts.in_time(connection, order.deadline)

    async def _conclude(self, attempt: Attempt, intent: Intent) -> Authorization:
        if intent.state in (IntentState.AUTHORIZED, IntentState.CAPTURED):
            await self._reach(attempt, AttemptState.AUTHORIZED, PaymentAuthorized)
            return Authorization(result=AuthorizationResult.AUTHORIZED)
        if intent.state is IntentState.ACTION_REQUIRED:
            await self._reach(attempt, AttemptState.ACTION_REQUIRED, None)
            return Authorization(result=AuthorizationResult.ACTION_REQUIRED, action_url=intent.action_url)
        if intent.state is IntentState.PROCESSING:
            raise PaymentUnknown("the provider is still processing the payment")
        if attempt.decline_code or attempt.state is AttemptState.ACTION_REQUIRED:
            return await self._decline(attempt, intent, attempt.decline_code or "authentication_failed")
        await self._void(attempt, intent)
        return Authorization(result=AuthorizationResult.LAPSED)

    async def _decline(self, attempt: Attempt, intent: Intent, code: str) -> Authorization:
        async with self._engine.begin() as connection:
            await attempts.note_decline(connection, attempt, code)
        await self._void_at_provider(attempt, intent.id, intent.state)
        await self._close(attempt, AttemptState.DECLINED, PaymentWasDeclined(**_facts(attempt), code=code))
        return Authorization(result=AuthorizationResult.DECLINED, code=code)

    @activity.defn
    async def capture(self, booking_id: UUID) -> str | None:
        """Take the reserved money.

        Returns:
            The provider's code where it refuses for good (the authorization is gone), else None.
        """
        async with conversation():
            attempt = await self._live(booking_id)
            if attempt is None or attempt.intent_id is None:
                return "no_authorization"
            gateway = self._gateways[attempt.provider]
            doubtful = activity.info().attempt > 1 or attempt.state is not AttemptState.AUTHORIZED
            try:
                intent = await gateway.retrieve(attempt.intent_id) if doubtful else None
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
            if intent.state is not IntentState.CAPTURED:
                return refusal
            await self._reach(attempt, AttemptState.CAPTURED, PaymentCaptured)
            return None

    @activity.defn
    async def return_money(self, booking_id: UUID) -> None:
        """Void or refund, whichever the provider's own state calls for, until nothing of the buyer's is kept."""
        async with conversation():
            attempt = await self._live(booking_id)
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
            await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**_facts(attempt)))
            return
        gateway = self._gateways[attempt.provider]
        intent = await gateway.retrieve(attempt.intent_id)
        if intent.state is not IntentState.CAPTURED:
            await self._void(attempt, intent)
            return
        await self._reach(attempt, AttemptState.CAPTURED, PaymentCaptured)  # so that the story stays whole
        await self._give_back(attempt, intent)
        await self._close(attempt, AttemptState.REFUNDED, PaymentRefunded(**_facts(attempt)))

    async def _give_back(self, attempt: Attempt, intent: Intent) -> None:
        """Refund what is left; done only when the provider says that it succeeded, since what is pending may fail."""
        gateway, key = self._gateways[attempt.provider], attempt.key("refund")
        given = await gateway.retrieve_refund(intent.id, key=key)
        owed = intent.captured - intent.refunded
        if given is None and owed:
            await gateway.refund(intent.id, Money(amount=owed, currency=attempt.amount.currency), key=key)
            given = await gateway.retrieve_refund(intent.id, key=key)
        if given and given.state is GivingBackState.FAILED:
            async with self._engine.begin() as connection:
                await attempts.mint_keys(connection, attempt)
        if given and given.state is not GivingBackState.SUCCEEDED:
            raise PaymentUnknown(f"the refund is {given.state}")

    async def _void(self, attempt: Attempt, intent: Intent) -> None:
        await self._void_at_provider(attempt, intent.id, intent.state)
        await self._close(attempt, AttemptState.VOIDED, PaymentVoided(**_facts(attempt)))

    async def _void_at_provider(self, attempt: Attempt, intent_id: str, state: IntentState) -> None:
        if state is IntentState.VOIDED:
            return
        try:
            await self._gateways[attempt.provider].void(intent_id, key=attempt.key("void"))
        except PaymentRejected as rejected:
            # It changed while we looked. The next try looks again.
            raise PaymentUnknown(f"the intent could not be voided: {rejected.code}") from rejected

    async def _live(self, booking_id: UUID) -> Attempt | None:
        async with self._engine.connect() as connection:
            return await attempts.live(connection, booking_id)

    async def _note_intent(self, attempt: Attempt, intent_id: str) -> Attempt:
        async with self._engine.begin() as connection:
            noted = await attempts.note_intent(connection, attempt, intent_id)
        if noted is None:
            raise ApplicationError("the attempt was closed meanwhile", type="StaleStep", non_retryable=True)
        return noted

    async def _reach(self, attempt: Attempt, state: AttemptState, event: type[PaymentEvent] | None) -> None:
        async with self._engine.begin() as connection:
            await attempts.reach(connection, attempt, state, event(**_facts(attempt)) if event else None)

    async def _close(self, attempt: Attempt, state: AttemptState, event: PaymentEvent) -> None:
        async with self._engine.begin() as connection:
            await attempts.reach(connection, attempt, state, event)

    async def _mint_if_spent(self, attempt: Attempt, unknown: PaymentUnknown) -> None:
        if unknown.replayed:
            async with self._engine.begin() as connection:
                await attempts.mint_keys(connection, attempt)


def _facts(attempt: Attempt) -> dict[str, Any]:
    return {
        "booking_id": attempt.booking_id,
        "provider": attempt.provider,
        "attempt": attempt.number,
        "amount": attempt.amount.amount,
        "currency": attempt.amount.currency,
    }
