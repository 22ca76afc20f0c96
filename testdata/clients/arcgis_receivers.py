"""Receivers of the kinds that Esri's samples and their users have written, each as strict as it can be, with nothing but the standard library.

It prints the address it listens on, then a line of JSON for each request: {"path", "ok", "why", "body"}.
"""

import base64
import hashlib
import hmac
import json
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = sys.argv[1]


def signature(text):
    digest = hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
    return "sha256=" + base64.b64encode(digest).decode()


class Receiver(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
        token = query.get("crc_token", [None])[0]
        if token is None:
            return self.answer(200, b"<html><body>A receiver of webhooks</body></html>", "text/html")
        self.answer(200, json.dumps({"response_token": signature(token.encode())}).encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        why, told = "", None
        try:
            kind = urllib.parse.urlsplit(self.path).path.strip("/")
            told = getattr(self, "as_" + kind)(body)
        except Exception as err:  # whatever it is, the receiver says no
            why = repr(err)
        print(json.dumps({"path": self.path, "ok": not why, "why": why, "body": told}), flush=True)
        if why:
            return self.answer(400, b'{"success":"false"}')
        self.answer(200, b'{"success":"true"}')

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def check(self, text):
        """ArcGIS Online percent-encodes the header, Enterprise does not: whoever wants both decodes it first."""
        given = urllib.parse.unquote(self.headers["x-esriHook-Signature"])
        assert hmac.compare_digest(given, signature(text)), given

    def as_json(self, body):
        """JSON at top level, as flask's get_json and express.json read it."""
        assert self.headers["Content-Type"].split(";")[0] == "application/json"
        self.check(body)
        return json.loads(body)

    def as_form(self, body):
        """The form's field payload, as req.body.payload has it."""
        assert self.headers["Content-Type"].split(";")[0] == "application/x-www-form-urlencoded"
        fields = urllib.parse.parse_qs(body.decode(), strict_parsing=True, keep_blank_values=True)
        (payload,) = fields["payload"]
        self.check(payload.encode())
        return json.loads(payload)

    def as_raw(self, body):
        """The text behind payload=, decoded once, as who has no parser of forms at hand gets at it."""
        text = urllib.parse.unquote(body.decode().removeprefix("payload="))
        self.check(text.encode())
        return json.loads(text)

    def as_secret(self, body):
        """The plain header secret of portals before 11.2."""
        assert hmac.compare_digest(self.headers["secret"], SECRET)
        return json.loads(body)

    def as_typed(self, body):
        """A typed model of the portal's payload: every member, no others."""
        told = json.loads(body)
        assert set(told) == {"info", "events", "properties"}, told
        assert set(told["info"]) == {"webhookName", "webhookId", "portalURL", "when"}, told["info"]
        for event in told["events"]:
            assert set(event) == {"id", "operation", "properties", "source", "userId", "username", "when"}, event
            assert isinstance(event["when"], int)
        return told


server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print("http://127.0.0.1:%d" % server.server_address[1], flush=True)
server.serve_forever()
