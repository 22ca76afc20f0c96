"""The requests that the ArcGIS API for Python's webhook manager sends to a portal, with nothing but the standard library.

Usage: arcgis_portal.py PORTAL KEY

PORTAL is the portal's URL, KEY an API key of an admin. The script listens on a port of 127.0.0.1, where the portal must be allowed to send.
Names, encodings and paging are those that the client has on the wire: dicts and lists become JSON inside a form, booleans
become words, an unknown value is not sent by newer versions and is the word None in older ones. Answers are read as the client reads them:
success must be true, WebhookStatus and nextStart must be there, an error has the status 200. It ends with status 0 if all is as it should
be, and prints what it has done.
"""

import http.server
import json
import queue
import sys
import threading
import urllib.parse
import urllib.request
import uuid


class Refused(Exception):
    """An error in the answer, as the client raises it."""

    def __init__(self, error):
        super().__init__("%s\n%s\n(Error Code: %s)" % (error["message"], "\n".join(error["details"]), error["code"]))
        self.code, self.message = error["code"], error["message"]


class Connection:
    """A connection to a portal, logged in with a name and a password."""

    def __init__(self, portal, username, password):
        self.root = portal.rstrip("/") + "/sharing/rest/"
        self.token = None
        self.version = [int(part) for part in self.get("")["currentVersion"].split(".")]
        info = self.get("info")
        assert info["authInfo"]["isTokenBasedSecurity"] is True
        answer = self.send(
            info["authInfo"]["tokenServicesUrl"],
            {"username": username, "password": password, "client": "referer", "referer": "http", "expiration": 60, "f": "json"},
        )
        self.token = answer["token"]
        assert answer["ssl"] == portal.startswith("https:"), "a client would go over to https"

    @staticmethod
    def encoded(params, multipart=False):
        """The body of a POST and its content type."""
        fields = []
        for name, value in params.items():
            if value is None and not multipart:
                continue  # what requests does
            if isinstance(value, (dict, list, tuple, bool)):
                value = json.dumps(value)
            fields.append((name, str(value)))
        if not multipart:
            return urllib.parse.urlencode(fields).encode(), "application/x-www-form-urlencoded"
        boundary = uuid.uuid4().hex
        body = "".join(
            '--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (boundary, name, value) for name, value in fields
        )
        return (body + "--%s--\r\n" % boundary).encode(), "multipart/form-data; boundary=" + boundary

    def send(self, url, params=None, multipart=False, headers=None):
        data = None
        headers = dict(headers or {})
        if params is not None:
            data, headers["Content-Type"] = self.encoded(params, multipart)
        if self.token and "X-Esri-Authorization" not in headers and "token=" not in url:
            headers["X-Esri-Authorization"] = "Bearer " + self.token
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            assert answer.status == 200
            value = json.load(answer)
        if "error" in value:
            raise Refused(value["error"])
        return value

    def get(self, path, params=None):
        return self.send(self.root + path + "?" + urllib.parse.urlencode(dict(params or {}, f="json")))

    def post(self, path, params, multipart=False):
        return self.send(self.root + path, dict(params, f="json"), multipart)


class Webhook:
    """A webhook, whose properties are read when they are first asked for."""

    def __init__(self, connection, path):
        self.connection, self.path, self.read = connection, path, None

    @property
    def properties(self):
        if self.read is None:
            self.read = self.connection.get(self.path)
        return self.read

    def act(self, verb):
        self.read = None
        return self.connection.post(self.path + "/" + verb, {})["success"]

    def update(self, name=None, url=None, events=None, number_of_failures=None, days_in_past=None, secret=None, multipart=False):
        """What is not given is taken from what is there; a list of events is not joined; config.properties is left out."""
        there = self.properties
        policy = there["config"]["deactivationPolicy"]
        params = {
            "name": name or there["name"],
            "url": url or there["payloadUrl"],
            "secret": secret if secret is not None else there["secret"],
            "config": {
                "deactivationPolicy": {
                    "numberOfFailures": number_of_failures or policy["numberOfFailures"],
                    "daysInPast": days_in_past or policy["daysInPast"],
                }
            },
            "events": events if events is not None else ",".join(there["events"]),
        }
        self.read = None
        return self.connection.post(self.path + "/update", params, multipart)["success"]

    def notifications(self):
        """Pages of a hundred, until there is no next one."""
        params = {"num": 100, "start": 1}
        results = self.connection.post(self.path + "/notificationStatus", params)
        hooks = list(results["WebhookStatus"])
        while results["nextStart"] != -1:
            params["start"] = results["nextStart"]
            results = self.connection.post(self.path + "/notificationStatus", params)
            hooks += results["WebhookStatus"]
        return hooks


class WebhookManager:
    """The webhooks of the portal that one is logged in to."""

    path = "portals/self/webhooks"

    def __init__(self, connection):
        assert connection.version >= [6, 4]
        self.connection = connection

    def list(self):
        return [Webhook(self.connection, self.path + "/" + hook["id"]) for hook in self.connection.get(self.path)["webhooks"]]

    def get(self, name):
        for hook in self.list():
            if hook.properties["name"].lower() == name.lower():
                return hook
        return None

    def create(self, name, url, events="ALL", number_of_failures=5, days_in_past=5, secret=None, properties=None):
        config = {"deactivationPolicy": {"numberOfFailures": number_of_failures, "daysInPast": days_in_past}}
        if properties:
            config["properties"] = properties
        params = {"name": name, "url": url, "secret": secret or "", "config": config}
        if isinstance(events, str) and events.upper() == "ALL":
            params.update(changes="allChanges", events=None)
        else:
            params.update(changes="manualChanges", events=",".join(events) if isinstance(events, (list, tuple)) else events)
        if self.connection.post(self.path + "/createWebhook", params)["success"]:
            return self.get(name)
        return None

    @property
    def settings(self):
        return self.connection.get(self.path + "/settings")

    @settings.setter
    def settings(self, value):
        params = {"notificationAttempts": 4, "notificationTimeOutInSeconds": 11, "notificationElapsedTimeInSeconds": 6}
        params.update(value)
        assert self.connection.post(self.path + "/settings/update", params)["success"]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers as Esri's own receivers do, and keeps what it is sent."""

    got = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.put((dict(self.headers.items()), body))
        answer = b'{"success":"true"}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


def refused(code, call, *args, **named):
    try:
        call(*args, **named)
    except Refused as error:
        assert error.code == code, error
        return error.message
    raise AssertionError("it was not refused with %d" % code)


def emit(portal, key, event):
    """What the portal's backend does: nothing of the client's."""
    request = urllib.request.Request(
        portal.rstrip("/") + "/api/v1/events",
        json.dumps(event).encode(),
        {"Authorization": "Bearer " + key, "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 202


def main(portal, key, receiver):
    connection = Connection(portal, "admin", key)
    manager = WebhookManager(connection)
    print("logged in; the release is", ".".join(map(str, connection.version)))
    assert connection.get("portals/self")["user"]["role"] == "org_admin"
    assert connection.get("community/self")["username"] == "admin"
    assert manager.list() == []

    # Settings: the client begins with values of its own.
    assert manager.settings["notificationAttempts"] == 3
    manager.settings = {"notificationAttempts": 2}
    assert manager.settings["notificationTimeOutInSeconds"] == 11, manager.settings
    assert manager.settings["notificationElapsedTimeInSeconds"] == 6
    assert "featureServerMetricIntervalInMinutes" in manager.settings
    assert "notificationAttempts" in refused(400, lambda: setattr(manager, "settings", {"notificationAttempts": 6}))
    print("settings read and written")

    # One webhook, from its creation to its end.
    hook = manager.create("Everything", receiver, secret="a secret")
    assert hook.properties["events"] == ["/"] and hook.properties["isActive"] is True
    assert hook.properties["config"]["deactivationPolicy"] == {"numberOfFailures": 5, "daysInPast": 5}
    assert hook.properties["payloadUrl"] == receiver and hook.properties["secret"] == "**OMITTED**"
    assert isinstance(hook.properties["created"], int) and len(hook.properties["id"]) == 32
    assert manager.get("everything").properties == hook.properties
    assert hook.notifications() == []

    item = "4adc30bb03054812a846fa592de105de"
    for n in range(103):
        emit(portal, key, {"uri": "/items/%s/share" % item, "username": "jdoe", "properties": {"sharedToGroups": ["Everyone"], "n": n}})
    bodies = {}
    for _ in range(103):
        headers, body = Receiver.got.get(timeout=60)
        assert headers["x-esriHook-Signature"].startswith("sha256=")
        payload = json.loads(body)
        assert payload["events"][0]["operation"] == "share" and payload["info"]["webhookId"] == hook.properties["id"]
        bodies[payload["events"][0]["properties"]["n"]] = body.decode()
    assert len(bodies) == 103
    told = []
    while len({row["payload"] for row in told}) < 103:  # the last ones are being recorded
        told = hook.notifications()
    assert {row["payload"] for row in told} == set(bodies.values())
    assert all(row["isInvoked"] is True and row["id"] == hook.properties["id"] for row in told)
    assert {row["responseText"] for row in told} == {'{"success":"true"}'}
    assert all(len(row["invokedTimestamp"]) == len("2019-01-23 14:26:44.644") for row in told)
    print("103 deliveries received, and found again in pages of a hundred")

    assert hook.update(events=["/items", "/users/signin"])  # not joined: JSON
    assert hook.properties["events"] == ["/items", "/users/signin"] and hook.properties["secret"] == "**OMITTED**"
    assert hook.update(name="Items", events="/items,/groups/*/{addUsers,removeUsers}", number_of_failures=7, multipart=True)
    assert hook.properties["events"] == ["/items", "/groups/*/{addUsers,removeUsers}"]
    assert hook.properties["config"]["deactivationPolicy"] == {"numberOfFailures": 7, "daysInPast": 5}
    assert hook.act("deactivate") and hook.properties["isActive"] is False
    assert hook.act("activate") and hook.properties["isActive"] is True
    assert connection.post(hook.path + "/update", {"secret": None}, multipart=True)["success"]  # the word None
    assert hook.update() and hook.properties["secret"] == "**OMITTED**"
    assert connection.post(hook.path + "/update", {"secret": ""})["success"]
    hook.read = None
    assert hook.properties["secret"] == ""
    print("updated in every encoding")

    # Refusals are envelopes, with a message that helps.
    assert "/items/share" in refused(400, manager.create, "wrong", receiver, events="/itemz/share")
    assert "<itemID>" in refused(400, manager.create, "wrong", receiver, events=["/items/<itemID>/share"])
    refused(409, manager.create, "ITEMS", receiver)
    refused(403, connection.get, "portals/FEDCBA9876543210/webhooks")
    refused(404, connection.get, manager.path + "/" + "0" * 32)
    assert refused(499, connection.send, connection.root + manager.path + "?f=json&token=") == "Token Required"
    assert refused(498, connection.send, connection.root + manager.path + "?f=json&token=nonsense") == "Invalid token"
    refused(400, Connection, portal, "admin", "not the password")
    print("refused what must be refused")

    # The token in each of its places, and the key itself.
    for url, headers in (
        (manager.path + "?f=json&token=" + connection.token, {}),
        (manager.path + "?f=json", {"X-Esri-Authorization": "Bearer " + connection.token}),
        (manager.path + "?f=json", {"X-Esri-Authorization": "none", "Authorization": "Bearer " + connection.token}),
        (manager.path + "?f=pjson&token=" + key, {}),
    ):
        assert len(connection.send(connection.root + url, headers=headers)["webhooks"]) == 1

    # Pages: the client reads the first only, and must find what it has just made.
    for n in range(30):
        assert manager.create("hook %d" % n, receiver + "/other", events=["/roles"]) is not None
    names, start = [], 1
    while start != -1:
        page = connection.get(manager.path, {"start": start, "num": 7})
        assert page["total"] == 31
        names += [hook["name"] for hook in page["webhooks"]]
        start = page["nextStart"]
    assert names == ["hook %d" % n for n in range(29, -1, -1)] + ["Items"], names
    while manager.list():
        for one in manager.list():
            assert one.act("delete")
    assert hook.path and refused(404, connection.get, hook.path)
    print("31 webhooks made, listed in pages and deleted")


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    main(sys.argv[1], sys.argv[2], "http://127.0.0.1:%d/hook" % server.server_port)
    server.shutdown()
