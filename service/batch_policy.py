"""How many queued images the next inference takes: pure arithmetic, no clock."""


def next_batch_size(num_queued: int, num_free_streams: int, max_batch_size: int) -> int:
    """Images for the next inference, 0 where there is nothing to do.

    Nothing waits for company: what is queued is shared out over the free streams, since two streams of one image beat
    one batch of two on a CPU.
    """
    if not num_queued or not num_free_streams:
        return 0
    return min(max_batch_size, -(-num_queued // num_free_streams))
