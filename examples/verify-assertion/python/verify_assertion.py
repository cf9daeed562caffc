# SPDX-License-Identifier: Apache-2.0
"""Verifies the identity assertion that caddy-mcp-oauth sends to MCP servers.

Copy this file. It needs PyJWT 2.6 or newer with cryptography; Debian and Ubuntu
have them as python3-jwt and python3-cryptography.
"""

import json
import time
import urllib.request

import jwt

HEADER = "X-Mcp-Jwt-Assertion"
TYPE = "mcp-identity+jwt"
LEEWAY = 60  # seconds by which the clocks of gateway and backend may differ


class InvalidAssertion(Exception):
    """The assertion must not be trusted. The text is for the log."""


class KeysUnavailable(Exception):
    """The keys could not be fetched, so that nothing is known: answer 503."""


class _Keys(jwt.PyJWKClient):
    """PyJWKClient with a time limit, and which does not fetch for every made-up key.

    Keys are kept for five minutes, as the gateway allows. It publishes a key a day
    before it signs.
    """

    COOLDOWN = 10  # seconds between two fetches for an unknown key, or after a failure
    TIMEOUT = 5
    MAX_BYTES = 64 * 1024

    def __init__(self, uri):
        super().__init__(uri, cache_jwk_set=True, lifespan=300)
        self._tried = float("-inf")
        self._failed = False

    def fetch_data(self):
        if self._failed and self._cooling():
            raise KeysUnavailable("fetch keys: it failed a moment ago")
        self._tried, self._failed = time.monotonic(), True
        try:
            with urllib.request.urlopen(self.uri, timeout=self.TIMEOUT) as response:
                keys = json.loads(response.read(self.MAX_BYTES))
        except (OSError, ValueError) as e:
            raise KeysUnavailable(f"fetch keys: {e}") from e
        self._failed = False
        self.jwk_set_cache.put(keys)
        return keys

    def get_jwk_set(self, refresh=False):
        return super().get_jwk_set(refresh and not self._cooling())

    def _cooling(self):
        return time.monotonic() - self._tried < self.COOLDOWN


class Verifier:
    """Checks assertions of one gateway for one MCP server.

    issuer is the origin of the gateway's site, resource the URL by which clients know
    this server, jwks_url where the keys are as seen from here.
    """

    def __init__(self, issuer, resource, jwks_url=None):
        self._issuer = issuer
        self._resource = resource
        self._keys = _Keys(jwks_url or issuer + "/jwks")

    def verify(self, values):
        """Returns the claims. values are all headers of the name HEADER."""
        if len(values) != 1:
            raise InvalidAssertion(f"{len(values)} assertions, want one")
        token = values[0]
        try:
            header = jwt.get_unverified_header(token)
            # PyJWT passes over typ, and older versions over crit.
            if header.get("typ") != TYPE or "crit" in header:
                raise InvalidAssertion("it is another kind of token")
            key = self._keys.get_signing_key(header.get("kid"))
            claims = jwt.decode(
                token,
                key.key,
                # This list is what keeps "none", and the public key as an HMAC secret,
                # from being accepted.
                algorithms=["ES256"],
                issuer=self._issuer,
                audience=self._resource,
                leeway=LEEWAY,
                options={"require": ["iss", "aud", "sub", "iat", "exp"]},
            )
        except KeysUnavailable:
            raise
        except (jwt.PyJWTError, TypeError, ValueError, OverflowError) as e:
            raise InvalidAssertion(str(e)) from e
        if not isinstance(claims["sub"], str) or not claims["sub"]:
            raise InvalidAssertion("sub is no text")
        return claims
