"""Messages to bytes and back, and what tells one from another."""

from sagakit.core.codec.codecs import MEBIBYTE, Codec, Codecs, Upcaster

__all__ = ["MEBIBYTE", "Codec", "Codecs", "Upcaster"]
