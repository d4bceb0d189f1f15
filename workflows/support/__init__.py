"""What sagas share: steps, polling, the wait for an operator, and the answers that a buyer reads."""
