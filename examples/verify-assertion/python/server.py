# SPDX-License-Identifier: Apache-2.0
"""A server that believes nobody but its gateway, and tells people who they are.

ISSUER and RESOURCE say what it expects in an assertion, JWKS_URL where the keys are
if that is not ISSUER/jwks, PORT where to listen on loopback.
"""

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from verify_assertion import HEADER, InvalidAssertion, KeysUnavailable, Verifier

verifier = Verifier(os.environ["ISSUER"], os.environ["RESOURCE"], os.environ.get("JWKS_URL"))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            claims = verifier.verify(self.headers.get_all(HEADER, []))
        except InvalidAssertion as e:
            print("request refused:", e, file=sys.stderr)
            return self.answer(401, {"error": "the identity assertion is not valid"})
        except KeysUnavailable as e:
            print("assertions cannot be verified:", e, file=sys.stderr)
            return self.answer(503, {"error": "the keys of the gateway cannot be fetched"})
        return self.answer(200, claims)

    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Handler)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
