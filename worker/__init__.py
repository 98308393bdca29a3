"""A reference video worker: takes requests from a queue, finds motion in the footage, reports back."""
