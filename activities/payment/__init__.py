"""The payment service's steps: payments, refunds, late payments, reconciliation."""
