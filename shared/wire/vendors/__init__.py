"""Other vendors' formats: what their clients send and expect, as models and as our own events."""
