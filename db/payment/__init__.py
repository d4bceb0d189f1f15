"""The payment service's database: payment attempts, refunds, the ledger and its reconciliation."""
