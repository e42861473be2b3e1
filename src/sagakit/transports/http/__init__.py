"""Participants over HTTP: a command as a request to a service, its outcome as the answer, or by a callback later."""

from sagakit.transports.http.answer import Answer
from sagakit.transports.http.callbacks import Callbacks
from sagakit.transports.http.failures import EgressRefused, RequestFailed, RequestRejected
from sagakit.transports.http.remote import remote
from sagakit.transports.http.requests import request
from sagakit.transports.http.service import HttpService

__all__ = [
    "Answer",
    "Callbacks",
    "EgressRefused",
    "HttpService",
    "RequestFailed",
    "RequestRejected",
    "remote",
    "request",
]
