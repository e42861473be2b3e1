"""What is believed of what a server says."""

import pytest

from sagakit.idempotency.record import believed, encode, sealed

ANSWER = b'{"total":50.00}'


def test_an_answer_comes_back_byte_for_byte() -> None:
    found = believed("db", "name", encode(sealed("db", "name", "digest", answer=ANSWER)))
    assert found is not None
    assert (bytes(found.answer), found.digest, found.answered) == (ANSWER, "digest", True)


def test_a_claim_is_no_answer() -> None:
    found = believed("db", "name", encode(sealed("db", "name", "digest", token="t-1")))
    assert found is not None
    assert (found.token, found.answered) == ("t-1", False)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"OK",
        b"1",
        b"null",
        b"{}",
        b"\xff\xfe",
        encode(sealed("db", "another name", "digest", answer=ANSWER)),
        encode(sealed("another database", "name", "digest", answer=ANSWER)),
        encode(sealed("db", "name", "digest", answer=ANSWER)).replace(b"50.00", b"60.00"),
        encode(sealed("db", "name", "digest", answer=ANSWER)).replace(b'"digest":"digest"', b'"digest":"other"'),
        encode(sealed("db", "name", "digest", token="t-1")).replace(b"t-1", b""),
        encode(sealed("db", "name", "digest", answer=ANSWER))[:-1],
        encode(sealed("db", "name", "digest", answer=ANSWER))[:-1] + b',"more":1}',
    ],
)
def test_what_none_of_us_wrote_for_this_key_is_not_believed(value: bytes) -> None:
    assert believed("db", "name", value) is None
