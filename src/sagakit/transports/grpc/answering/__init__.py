"""Answers: a server for services of your own, and what answers their requests."""
