"""Ways in which a request ends without a result, sorted by what happens next."""


class VideoError(Exception):
    """The footage can't be processed: the request ends with a FAILED report.

    `code` is for programs; `retryable` says whether another attempt at the same footage may go better.
    """

    def __init__(self, code: str, message: str, *, retryable: bool = False) -> None:
        self.code = code
        self.retryable = retryable
        super().__init__(message)


class LeaseLostError(Exception):
    """The message belongs to another worker by now: drop the work and report nothing."""


class StopRequestedError(Exception):
    """The worker is asked to end: give the message back."""
