"""The application: starts video jobs, publishes requests, waits for reports, ends every job with a result."""
