"""Routes in other vendors' dialects, for their own clients: only decoding and replies differ."""
