"""The requests that the ArcGIS API for Python's managers of service webhooks send to a server, with nothing but the standard library.

Usage: arcgis_services.py PORTAL KEY

PORTAL is the portal's URL, KEY an API key of an admin. The script listens on a port of 127.0.0.1, where the portal must be allowed to send.
Two managers are on the wire: ServiceWebHookManager, of the server's administration, and WebHookServiceManager, of feature layers. Both send a
schedule or words that nobody gave them, read the url or the id of what they have made, and send all that they have read back when they edit.
Answers are read as they are there: status must be success, an error has the status 200. It ends with status 0 if all is as it should be, and
prints what it has done.
"""

import base64
import hashlib
import hmac
import http.server
import json
import queue
import sys
import threading
import time
import urllib.parse
import urllib.request


class Refused(ValueError):
    """An error in the answer, as the client raises it."""

    def __init__(self, answer):
        super().__init__(". ".join(answer["messages"]))
        self.code = answer["code"]


class Connection:
    """A connection that is logged in with a name and a password."""

    def __init__(self, portal, username, password):
        self.server = portal.rstrip("/") + "/server"
        self.token = None
        answer = self.post(
            portal.rstrip("/") + "/sharing/rest/generateToken",
            {"username": username, "password": password, "client": "referer", "referer": "http", "expiration": 60, "f": "json"},
        )
        self.token = answer["token"]

    def send(self, url, data=None, headers=None):
        headers = dict(headers or {})
        if self.token and not headers:
            headers["X-Esri-Authorization"] = "Bearer " + self.token
        if data is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=30) as answer:
            assert answer.status == 200
            return json.load(answer)

    @staticmethod
    def encoded(params):
        """Dicts, lists and booleans become JSON; what is None is not sent, as requests does it."""
        fields = []
        for name, value in params.items():
            if value is None:
                continue
            if isinstance(value, (dict, list, tuple, bool)):
                value = json.dumps(value)
            fields.append((name, str(value)))
        return urllib.parse.urlencode(fields)

    def get(self, url, params):
        return self.send(url + "?" + self.encoded(params))

    def post(self, url, params):
        return self.send(url, self.encoded(params).encode())


def joined(change_types):
    return ",".join(change_types) if isinstance(change_types, list) else change_types


def checked(answer):
    if answer.get("status") == "error":
        raise Refused(answer)
    return answer


class ServiceWebHook:
    """A webhook, whose properties are read when they are first asked for."""

    def __init__(self, url, con):
        self.url, self.con, self.read = url, con, None

    @property
    def properties(self):
        if self.read is None:
            self.read = checked(self.con.post(self.url, {"f": "json"}))
        return self.read

    def edit(
        self, name=None, change_types=None, hook_url=None, signature_key=None, active=None, schedule_info=None, payload_format=None, content_type=None
    ):
        """All that was read goes back, what is given over it; the answer is what is read from then on."""
        props = dict(self.properties)
        params = {
            "f": "json",
            "name": name,
            "changeTypes": joined(change_types) or ",".join(self.properties["changeTypes"]),
            "signatureKey": signature_key,
            "hookUrl": hook_url,
            "active": active,
            "scheduleInfo": schedule_info,
            "payloadFormat": payload_format,
            "content_type": content_type,
        }
        props.update({name: value for name, value in params.items() if value is not None})
        self.read = checked(self.con.post(self.url + "/edit", props))
        return self.read

    def delete(self):
        return self.con.post(self.url + "/delete", {"f": "json"})["status"] == "success"

    def notifications(self):
        return self.con.get(self.url + "/notificationStatus", {"f": "json"})["webhookNotificationStatus"]


class ServiceWebHookManager:
    """The webhooks of a service, at the address of the server's administration."""

    def __init__(self, url, con):
        self.url, self.con = url, con

    def unasked(self):
        """The schedule that is sent where none is given."""
        return {"name": "", "state": "enabled", "startAt": int(time.time() * 1000), "recurrenceInfo": {"interval": 20, "frequency": "second"}}

    def create(
        self, name, hook_url, change_types="*", signature_key=None, active=False, schedule_info=None, payload_format="json", content_type=None
    ):
        params = {
            "f": "json",
            "name": name,
            "changeTypes": joined(change_types),
            "signatureKey": signature_key,
            "hookUrl": hook_url,
            "active": active,
            "scheduleInfo": self.unasked() if schedule_info is None else schedule_info,
            "payloadFormat": payload_format,
        }
        if content_type:
            params["contentType"] = content_type
        answer = checked(self.con.post(self.url + "/create", params))
        if "url" in answer:
            return ServiceWebHook(answer["url"], self.con)
        return ServiceWebHook(self.url + "/" + (answer.get("id") or answer.get("globalId")), self.con)

    @property
    def list(self):
        params = {"f": "json", "start": 1, "num": 25, "sortField": None, "sortOrder": None}
        hooks = []
        while True:
            answer = checked(self.con.get(self.url, params))
            hooks += [ServiceWebHook(self.url + "/" + hook["id"], self.con) for hook in answer["webhooks"]]
            if answer.get("nextStart", -1) == -1:
                return hooks
            params["start"] = answer["nextStart"]

    def to_all(self, verb):
        return self.con.post(self.url + "/" + verb, {"f": "json"}).get("status", "failed") == "success"

    def enable_hooks(self):
        return self.to_all("activateAll")

    def disable_hooks(self):
        return self.to_all("deactivateAll")

    def delete_all_hooks(self):
        return self.to_all("deleteAll")


class WebHookServiceManager(ServiceWebHookManager):
    """The webhooks of a feature layer collection: no schedule unless one is given."""

    def unasked(self):
        return None


class Receiver(http.server.BaseHTTPRequestHandler):
    """Answers as Esri's own receivers do, and keeps what it is sent; what is sent to /broken fails."""

    got = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        broken = self.path == "/broken"
        if not broken:
            self.got.put((self.headers, body))
        answer = b'{"success":"true"}'
        self.send_response(500 if broken else 200)
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
        assert error.code == code, (error.code, error)
        return str(error)
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
    con = Connection(portal, "admin", key)
    admin = con.server + "/admin/services"
    roads = ServiceWebHookManager(admin + "/traffic/roads.FeatureServer/webhooks", con)
    layers = WebHookServiceManager(admin + "/roads.FeatureServer/webhooks", con)
    jobs = ServiceWebHookManager(admin + "/buffers.GPServer/webhooks", con)
    assert roads.list == [] and layers.list == [] and jobs.list == []

    # Settings: a POST changes what it is given, a GET reads.
    settings = admin + "/webhooks/settings"
    assert con.get(settings, {"f": "json"}) == {
        "notificationAttempts": 3, "notificationTimeOutInSeconds": 10, "notificationElapsedTimeInSeconds": 5, "numberOfFailures": 5, "daysInPast": 5,
    }
    changed = checked(con.post(settings, {"f": "json", "notificationAttempts": 1, "numberOfFailures": 2, "daysInPast": 1}))
    assert changed["status"] == "success" and changed["numberOfFailures"] == 2, changed
    assert "daysInPast" in refused(400, lambda: checked(con.post(settings, {"f": "json", "daysInPast": 31})))
    print("settings read and written")

    # One webhook of a feature service, with all that a client leaves to itself.
    hook = roads.create("Edits", receiver, ["FeaturesCreated", "FeaturesUpdated"], signature_key="a key", active=True)
    props = dict(hook.properties)
    assert hook.url == roads.url + "/" + props["id"] and len(props["id"]) == 36
    assert (props["folderName"], props["serviceName"], props["serviceType"]) == ("traffic", "roads", "FeatureServer")
    assert props["changeTypes"] == ["FeaturesCreated", "FeaturesUpdated"] and props["signatureKey"] == "**OMITTED**"
    assert props["active"] is True and props["hookUrl"] == receiver and props["contentType"] == "application/json"
    assert props["scheduleInfo"]["recurrenceInfo"] == {"interval": 20, "frequency": "second"} and props["scheduleInfo"]["state"] == "enabled"
    assert props["ownerId"] == props["modifiedId"] == "admin" and props["created"] == props["modified"]
    edited = hook.edit(change_types=["FeaturesEdited", "AttachmentsCreated"], schedule_info={}, payload_format="pjson")
    assert edited["status"] == "success" and edited["changeTypes"] == ["FeaturesEdited", "AttachmentsCreated"] and "scheduleInfo" not in edited
    assert hook.edit(payload_format="json", content_type="application/x-www-form-urlencoded")["contentType"] == "application/x-www-form-urlencoded"
    assert hook.edit(content_type="application/json")["changeTypes"] == ["FeaturesEdited", "AttachmentsCreated"]
    assert hook.edit(active=False)["active"] is False and hook.edit(active=True)["active"] is True
    print("created, read and edited")

    # What arrives, signed by the key that went back as **OMITTED** five times.
    emit(portal, key, {"uri": "/services/traffic/roads/FeatureServer/FeaturesDeleted", "serverGens": [1730385704442, 1730385704443], "layerId": 0})
    headers, body = Receiver.got.get(timeout=60)
    signature = "sha256=" + base64.b64encode(hmac.new(b"a key", body, hashlib.sha256).digest()).decode()
    assert hmac.compare_digest(headers["x-esriHook-Signature"], signature)
    payload = json.loads(body)
    assert payload["id"] == props["id"] and payload["name"] == "Edits" and payload["folderName"] == "traffic", payload
    assert payload["serviceType"] == "FeatureServer" and payload["events"][0]["eventType"] == "FeaturesDeleted"
    assert payload["changesUrl"].endswith("/traffic/roads/FeatureServer/extractChanges?serverGens=%5B1730385704442,1730385704443%5D")

    # Jobs: the schedule that a client sends of itself is nobody's wish, another one is.
    job = jobs.create("Jobs", receiver, active=True)
    assert job.properties["changeTypes"] == ["*"] and "scheduleInfo" not in job.properties
    assert job.edit(name="All jobs")["name"] == "All jobs"
    for n, status in enumerate(("succeeded", "failed", "cancelled")):
        emit(portal, key, {"uri": "/services/buffers/GPServer", "jobId": "j%d" % n, "taskName": "Buffer", "status": status})
        payload = json.loads(Receiver.got.get(timeout=60)[1])
        assert payload["jobId"] == "j%d" % n and payload["name"] == "All jobs" and payload["serviceType"] == "GPServer", payload
    print("edits and jobs received")

    # The manager of feature layers: it gives no schedule.
    layer = layers.create("Layers", receiver, "*")
    assert layer.properties["active"] is False and layer.properties["changeTypes"] == ["*"] and "scheduleInfo" not in layer.properties
    assert layers.enable_hooks()
    layer.read = None
    assert layer.properties["active"] is True
    assert layer.edit(change_types=["LayerSchemaChanged"], signature_key="")["signatureKey"] == ""
    assert layers.disable_hooks() and layer.delete() and layers.list == []

    # Refusals are envelopes, with a message that helps.
    assert "FeaturesCreated" in refused(400, roads.create, "wrong", receiver, "FeatureCreated")
    assert "no change types" in refused(400, jobs.create, "wrong", receiver, "FeaturesCreated")
    assert "no schedule" in refused(400, jobs.create, "wrong", receiver, schedule_info={"recurrenceInfo": {"interval": 1, "frequency": "minute"}})
    assert "FeatureServer and GPServer" in refused(400, ServiceWebHookManager(admin + "/roads.MapServer/webhooks", con).create, "wrong", receiver)
    refused(409, roads.create, "EDITS", receiver)
    refused(404, lambda: ServiceWebHook(jobs.url + "/" + props["id"], con).properties)
    assert "Token Required" in refused(499, lambda: checked(con.send(roads.url + "?f=json", headers={"Authorization": "none"})))
    assert "Invalid token" in refused(498, lambda: checked(con.send(roads.url + "?f=json", headers={"X-Esri-Authorization": "Bearer nonsense"})))
    in_address = roads.url + "/activateAll?f=json&token=" + con.token
    assert "in its body" in refused(499, lambda: checked(con.send(in_address, b"x=y", {"Authorization": "none"})))
    in_body = con.encoded({"f": "json", "token": con.token}).encode()
    assert con.send(roads.url + "/activateAll", in_body, {"Authorization": "none"}) == {"status": "success"}
    print("refused what must be refused")

    # What fails is told of, switches a webhook off by the settings, and is forgotten when it is on again.
    broken = roads.create("Broken", receiver.replace("/hook", "/broken"), "LayerSchemaChanged", active=True, schedule_info={})
    assert broken.notifications() == []
    for _ in range(2):
        emit(portal, key, {"uri": "/services/traffic/roads/FeatureServer/LayerSchemaChanged"})
    deadline = time.monotonic() + 60
    while broken.properties["active"]:
        assert time.monotonic() < deadline, broken.notifications()
        broken.read = None
    told = broken.notifications()
    assert len(told) == 2 and all(row["invoked"] is False and isinstance(row["invokedTimestamp"], int) for row in told), told
    assert told[0]["invokedTimestamp"] >= told[1]["invokedTimestamp"]
    assert broken.edit(active=True)["active"] is True and broken.notifications() == []
    assert broken.delete()
    print("failures told of and forgotten")

    # Pages.
    for n in range(30):
        roads.create("hook %02d" % n, receiver, schedule_info={})
    assert [one.properties["name"] for one in roads.list] == ["hook %02d" % n for n in range(29, -1, -1)] + ["Edits"]
    page = con.get(roads.url, {"f": "json", "start": 2, "num": 3, "sortField": "name", "sortOrder": "desc"})
    assert [one["name"] for one in page["webhooks"]] == ["hook 28", "hook 27", "hook 26"] and page["nextStart"] == 5 and page["total"] == 31
    assert con.get(admin + "/webhooks", {"f": "json"})["total"] == 32
    assert roads.delete_all_hooks() and roads.list == [] and len(jobs.list) == 1
    assert jobs.delete_all_hooks() and con.get(admin + "/webhooks", {"f": "json"})["total"] == 0
    print("32 webhooks made, listed in pages and deleted")


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    main(sys.argv[1], sys.argv[2], "http://127.0.0.1:%d/hook" % server.server_port)
    server.shutdown()
