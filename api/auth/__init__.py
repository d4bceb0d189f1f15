"""The caller's identity, rights, and entries in the audit log."""
