// The webhooks API through the community's qlik-saas-api: node qlik-saas-api.mjs SERVER KEY RECEIVER. The receiver answers 500 to
// the first request and 200 to all others. Prints a line for each part that held; an assertion that fails ends it.
import assert from "node:assert/strict";
import { QlikSaaSApi } from "qlik-saas-api";
import { caught, emit, until } from "./portal.mjs";

const [server, key, receiver] = process.argv.slice(2);
const connect = (token) => new QlikSaaSApi.client({ host: new URL(server).host, notSecure: true, authentication: { token } });
const { webHooks } = connect(key);
const created = "com.qlik.v1.app.created";

const types = await webHooks.eventTypes();
assert.equal(types[0].name, created);
console.log("event types");

const hook = await webHooks.create({
  name: "reloads", url: `${receiver}/hook`, eventTypes: [created], enabled: true, secret: "0123456789abcdef0123456789abcdef",
  headers: { "x-env": "prod" }, encryptedHeaders: { authorization: "Bearer t" }, filter: 'spaceId ne "s-1"', retry: "once",
});
const { id } = hook.details;
assert.equal(hook.details.secretKeyAdded, true);
console.log("create");

const again = await webHooks.get({ id });
assert.deepEqual(again.details, hook.details);
console.log("get");

// It patches under a doubled slash, /api/v1//webhooks/{id}, and puts the first slash of a path itself.
assert.equal(await again.patch([{ op: "replace", path: "description", value: "patched" }, { op: "replace", path: "enabled", value: true }]), 204);
await again.init({ force: true });
assert.equal(again.details.description, "patched");
// A value that is false or empty is left out of what it sends, and a replace without a value is none.
const valueless = await caught(again.patch([{ op: "replace", path: "enabled", value: false }]));
assert.match(valueless.message, /400.*\(REQUIRED\); TraceId: [0-9a-f]{32}/);
await again.init({ force: true });
assert.equal(again.details.enabled, true);
console.log("patch");

// It puts back all that it has read, what is read-only and the names of encrypted headers among it.
assert.equal(await again.update({ description: "", enabled: false }), 200);
assert.deepEqual([again.details.description, again.details.enabled], ["", false]);
assert.deepEqual([again.details.secretKeyAdded, again.details.encryptedHeaders], [true, ["authorization"]]);
assert.equal(again.details.filter, 'spaceId ne "s-1"');
// What it has read may be old: here, what create answered.
assert.equal(await hook.update({ enabled: true }), 200);
await again.init({ force: true });
assert.deepEqual([again.details.enabled, again.details.secretKeyAdded, hook.details], [true, true, again.details]);
console.log("put");

// All of them: it asks for 50 and follows the links.
await Promise.all(Array.from({ length: 60 }, (_, i) => webHooks.create({ name: `extra ${i}`, url: `${receiver}/hook`, level: i % 2 ? "user" : "tenant" })));
const all = await webHooks.getAll();
assert.equal(all.length, 61);
assert.equal(new Set(all.map((w) => w.details.id)).size, 61);
assert.equal((await webHooks.getFilter({ filter: "name eq 'reloads'" })).length, 1);
const removed = await webHooks.removeFilter({ filter: "level eq 'user'" });
assert.deepEqual(removed.map((r) => r.status), Array(30).fill(204));
assert.equal((await webHooks.getAll()).length, 31);
console.log("list");

await emit(server, key, { uri: created, data: { id: "app-1" } });
const [failed] = await until("the delivery", async () => {
  const found = await again.deliveries();
  return found.length > 0 && found;
});
assert.deepEqual([failed.status, failed.eventType, failed.webhookId], ["fail", created, id]);
const one = await again.delivery({ id: failed.id });
assert.equal(one.response.statusCode, 500);
assert.equal(one.request.headers.authorization, "**OMITTED**");
console.log("deliveries");

const resent = await again.deliveryResend({ id: failed.id }); // with {} for a body
assert.equal(resent.status, "success");
assert.notEqual(resent.id, failed.id);
console.log("resend");

assert.equal(await again.remove(), 204);
console.log("delete");

assert.match((await caught(webHooks.get({ id }))).message, /404.*\(NOT_FOUND\); TraceId: [0-9a-f]{32}/);
assert.match((await caught(connect("not-a-key-of-this-server").webHooks.getAll())).message, /401.*\(UNAUTHORIZED\); TraceId: [0-9a-f]{32}/);
console.log("errors");
