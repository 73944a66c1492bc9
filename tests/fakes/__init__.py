"""Storage in memory that behaves as the real adapters do; tests/contract holds both to it."""
