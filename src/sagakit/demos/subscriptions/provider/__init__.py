"""The payment provider: an HTTP service of its own, with latencies, refusals and outages, and its client."""
