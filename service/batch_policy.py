"""How many queued images join the one that a stream has just taken: pure arithmetic, no clock."""


def batch_share(num_queued: int, num_streams: int, batch_size: int) -> int:
    """Images that join it; 0 where it goes alone, which never waits for company.

    What is queued is shared out over all streams, since the others will be free soon too.
    """
    return max(0, min(batch_size, -(-(num_queued + 1) // num_streams)) - 1)
