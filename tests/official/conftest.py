"""One venue for all tests with the official clients, and accounts on it."""

import itertools

import certifi
import pytest

from tests.official.rig import Trader, open_venue

_numbers = itertools.count(0xC0FFEE)


@pytest.fixture(scope="package", autouse=True)
def _one_certificate(tmp_path_factory):
    """Nothing here speaks TLS, but polymarket-client reads all certificates ten times a client,
    which takes half a second; with this file it reads one.
    """
    end = "-----END CERTIFICATE-----"
    path = tmp_path_factory.mktemp("tls") / "one.pem"
    path.write_text(certifi.contents().partition(end)[0] + end)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        yield


@pytest.fixture(scope="package")
def venue(root):
    """A quiet venue in a process of its own: nobody trades but the tests."""
    with open_venue(root) as opened:
        yield opened


@pytest.fixture
def fresh_key():
    """Makes private keys nobody else has."""
    return lambda: f"0x{next(_numbers):064x}"


@pytest.fixture
def trader(venue, fresh_key):
    """Makes traders with a key nobody else has; what they leave in the books is taken out."""
    made = []

    def make(signature_type=0):
        made.append(Trader(venue, fresh_key(), signature_type))
        return made[-1]

    yield make
    for one in made:
        one.leave()
