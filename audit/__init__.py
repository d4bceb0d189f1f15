"""The invariant checker: rules about seats and money that must hold after every failure."""
