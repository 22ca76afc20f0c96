// All ten operations of the webhooks API through @qlik/api, as its documentation shows them:
// node qlik-api.mjs SERVER KEY RECEIVER. The receiver answers 500 to the first request and 200 to all others.
// Prints a line for each part that held; an assertion that fails ends it.
import assert from "node:assert/strict";
import { createQlikApi } from "@qlik/api";
import { caught, emit, until } from "./portal.mjs";

const [server, key, receiver] = process.argv.slice(2);
const { webhooks } = createQlikApi({ hostConfig: { authType: "apikey", host: server, apiKey: key } });
const fresh = { noCache: true }; // the client keeps what it read for ten minutes; what the server changes by itself needs this
const created = "com.qlik.v1.app.created";
const deleted = "com.qlik.v1.app.deleted";
const names = (page) => page.data.data.map((w) => w.name);

// Event types: what can be subscribed, cloud types first.
const types = await webhooks.getWebhookEventTypes(fresh);
assert.equal(types.status, 200);
for (const type of types.data.data) {
  for (const member of ["name", "title", "description", "category"]) assert.equal(typeof type[member], "string", `${member} of ${type.name}`);
  assert.ok(type.levels.length > 0 && type.levels.every((level) => ["tenant", "user"].includes(level)), `levels of ${type.name}`);
}
assert.equal(types.data.data[0].name, created);
assert.ok(types.data.data.some((type) => type.name === deleted && type.levels.join() === "tenant"));
console.log("event types");

// Create: everything a body can say.
const { status, data: hook } = await webhooks.createWebhook({
  name: "Äpfel & <Birnen>", description: "all of it", url: `${receiver}/hook?a=1&b=%20`, eventTypes: [created], enabled: true, level: "tenant",
  secret: "0123456789abcdef0123456789abcdef", headers: { "x-env": "prod" }, encryptedHeaders: { authorization: "Bearer t", "x-more": "m" },
  filter: 'spaceId eq "s-1" or spaceId eq "s-2"', origin: "automations", checkCertificateRevocation: false, enableCloudEventDelivery: true,
});
assert.equal(status, 201);
assert.match(hook.id, /^[A-Za-z0-9_-]+$/); // the client puts it into paths as it is
const { id, createdAt, updatedAt, createdByUserId, updatedByUserId, ...rest } = hook;
assert.equal(createdAt, updatedAt);
assert.match(createdAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
assert.equal(createdByUserId, updatedByUserId);
for (const [member, value] of Object.entries({
  name: "Äpfel & <Birnen>", description: "all of it", url: `${receiver}/hook?a=1&b=%20`, eventTypes: [created], enabled: true, level: "tenant", ownerId: "",
  secretKeyAdded: true, headers: { "x-env": "prod" }, encryptedHeaders: ["authorization", "x-more"], filter: 'spaceId eq "s-1" or spaceId eq "s-2"',
  origin: "automations", checkCertificateRevocation: false, enableCloudEventDelivery: true, disabledReason: "", disabledReasonCode: "",
})) assert.deepEqual(rest[member], value, member);
assert.ok(!("secret" in hook));
console.log("create");

const read = await webhooks.getWebhook(id, fresh);
assert.equal(read.status, 200);
assert.deepEqual(read.data, hook);
console.log("get");

// List: three more webhooks, and every parameter.
const others = [];
for (const body of [
  { name: "alpha Prod", url: `${receiver}/one`, eventTypes: [created, deleted], enabled: true },
  { name: "Beta production", url: `${receiver}/TWO`, eventTypes: [deleted], origin: "management-console" },
  { name: "gamma", url: `${receiver}/three`, eventTypes: ["/items/share"], level: "user" },
]) others.push((await webhooks.createWebhook(body)).data);
const [alpha, beta, gamma] = others;
assert.equal(beta.enabled, false);
assert.equal(gamma.ownerId, gamma.createdByUserId);
const list = async (query) => names(await webhooks.getWebhooks(query, fresh));
assert.deepEqual(await list({ name: "PROD", sort: "+name" }), ["alpha Prod", "Beta production"]);
assert.deepEqual(await list({ url: "/two" }), ["Beta production"]);
assert.deepEqual(await list({ enabled: true, sort: "createdAt" }), [hook.name, "alpha Prod"]);
assert.deepEqual(await list({ enabled: false, sort: "-createdAt" }), ["gamma", "Beta production"]);
assert.deepEqual(await list({ eventTypes: [created, deleted] }), ["alpha Prod"]);
assert.deepEqual(await list({ eventTypes: deleted, sort: "-name" }), ["Beta production", "alpha Prod"]);
assert.deepEqual(await list({ origins: ["automations", "management-console"], sort: "+createdAt" }), [hook.name, "Beta production"]);
assert.deepEqual(await list({ level: "user" }), ["gamma"]);
assert.deepEqual(await list({ ownerId: gamma.ownerId }), ["gamma"]);
assert.deepEqual(await list({ createdByUserId: createdByUserId, updatedByUserId, sort: "-createdAt" }), ["gamma", "Beta production", "alpha Prod", hook.name]);
assert.deepEqual(await list({ createdByUserId: "nobody" }), []);
assert.deepEqual(await list({ name: undefined, sort: "-url", limit: 100 }), ["Beta production", "gamma", "alpha Prod", hook.name]);
assert.deepEqual(await list({ name: "äPFEL & <" }), [hook.name]);
assert.equal((await caught(webhooks.getWebhooks({ sort: "colour" }, fresh))).status, 400);
console.log("list");

// Paging, there and back, one webhook a page.
const forth = [];
let page = await webhooks.getWebhooks({ sort: "+name", limit: 1, createdByUserId }, fresh);
assert.equal(page.prev, undefined);
for (;;) {
  forth.push(...names(page));
  if (!page.next) break;
  page = await page.next(fresh);
}
assert.deepEqual(forth, ["alpha Prod", "Beta production", "gamma", hook.name]);
const back = [];
for (;;) {
  back.unshift(...names(page));
  if (!page.prev) break;
  page = await page.prev(fresh);
}
assert.deepEqual(back, forth);
// A page whose webhooks have gone since its link was given still leads back.
const twins = await Promise.all(["twin 1", "twin 2"].map((name) => webhooks.createWebhook({ name, url: `${receiver}/twin` })));
const first = await webhooks.getWebhooks({ name: "twin", sort: "+name", limit: 1 }, fresh);
await webhooks.deleteWebhook(twins[1].data.id);
const empty = await first.next(fresh);
assert.deepEqual([names(empty), empty.next], [[], undefined]);
assert.deepEqual(names(await empty.prev(fresh)), ["twin 1"]);
await webhooks.deleteWebhook(twins[0].data.id);
console.log("pages");

// Patch: the whole patch or nothing of it.
const patched = await webhooks.patchWebhook(id, [
  { op: "replace", path: "/enabled", value: false },
  { op: "replace", path: "/eventTypes", value: [created, deleted] },
  { op: "replace", path: "/headers", value: { "x-env": "test", "x-new": "1" } },
  { op: "replace", path: "/encryptedHeaders/authorization", value: "Bearer new" },
  { op: "remove", path: "/encryptedHeaders/x-more" },
  { op: "remove", path: "/filter" },
]);
assert.equal(patched.status, 204);
assert.ok(!patched.data);
const after = (await webhooks.getWebhook(id)).data; // a change clears what the client kept
assert.equal(after.enabled, false);
assert.deepEqual(after.eventTypes, [created, deleted]);
assert.deepEqual(after.headers, { "x-env": "test", "x-new": "1" });
assert.deepEqual(after.encryptedHeaders, ["authorization"]);
assert.equal(after.filter, "");
assert.equal(after.secretKeyAdded, true);
const refused = await caught(webhooks.patchWebhook(id, [
  { op: "replace", path: "/enabled", value: true }, { op: "replace", path: "/url", value: `${receiver}/elsewhere` },
]));
assert.equal(refused.status, 400); // encrypted headers do not follow to another url
assert.equal((await webhooks.getWebhook(id, fresh)).data.enabled, false);
assert.equal((await caught(webhooks.patchWebhook(id, [{ op: "replace", path: "/createdAt", value: createdAt }]))).status, 409);
console.log("patch");

// Put: what is left out goes back to its default.
const put = await webhooks.updateWebhook(id, {
  name: "whole", url: `${receiver}/whole`, eventTypes: [created], enabled: true, encryptedHeaders: { authorization: "Bearer t" },
  enableCloudEventDelivery: true, retry: "once",
});
assert.equal(put.status, 200);
assert.equal(put.data.id, id);
assert.deepEqual(
  [put.data.name, put.data.description, put.data.headers, put.data.encryptedHeaders, put.data.secretKeyAdded, put.data.filter, put.data.origin],
  ["whole", "", {}, ["authorization"], false, "", "automations"],
);
assert.deepEqual((await webhooks.getWebhook(id)).data, put.data);
console.log("put");

// Deliveries: the receiver refuses the first.
await webhooks.patchWebhook(id, [{ op: "replace", path: "/eventTypes", value: [created, deleted, "com.qlik.v1.app.exported"] }]);
await Promise.all(others.map((other) => webhooks.deleteWebhook(other.id)));
const deliveries = async (query) => (await webhooks.getWebhookDeliveries(id, query, fresh)).data.data;
for (const [n, uri] of [created, deleted, "com.qlik.v1.app.exported"].entries()) {
  await emit(server, key, { uri, data: { id: `app-${n}` } });
  await until(`delivery ${n}`, async () => (await deliveries({})).length === n + 1);
}
const kinds = async (query) => (await deliveries(query)).map((d) => d.eventType.replace("com.qlik.v1.app.", ""));
assert.deepEqual(await kinds({}), ["exported", "deleted", "created"]);
assert.deepEqual(await kinds({ sort: "+triggeredAt" }), ["created", "deleted", "exported"]);
assert.deepEqual(await kinds({ sort: "-triggeredAt", limit: 2 }), ["exported", "deleted"]);
assert.deepEqual(await kinds({ sort: "status" }), ["created", "exported", "deleted"]);
assert.deepEqual(await kinds({ sort: "-status" }), ["exported", "deleted", "created"]);
assert.deepEqual(await kinds({ status: "fail" }), ["created"]);
assert.deepEqual(await kinds({ status: "success", sort: "triggeredAt" }), ["deleted", "exported"]);
assert.deepEqual(await kinds({ eventType: deleted }), ["deleted"]);
assert.deepEqual(await kinds({ eventType: deleted, status: "fail" }), []);
const turned = [];
let turn = await webhooks.getWebhookDeliveries(id, { limit: 1 }, fresh);
for (const way of ["next", "next", "prev", "prev"]) {
  turned.push(turn.data.data[0].eventType);
  turn = await turn[way](fresh);
}
turned.push(turn.data.data[0].eventType);
assert.equal(turn.prev, undefined);
assert.deepEqual(turned.map((type) => type.slice(16)), ["exported", "deleted", "created", "deleted", "exported"]);
console.log("deliveries");

const [failed] = await deliveries({ status: "fail" });
const one = (await webhooks.getWebhookDelivery(id, failed.id, fresh)).data;
assert.deepEqual([one.id, one.webhookId, one.eventType, one.status], [failed.id, id, created, "fail"]);
assert.match(one.statusMessage, /500/);
assert.equal(one.request.url, `${receiver}/whole`);
assert.equal(one.request.headers.authorization, "**OMITTED**");
assert.equal(one.request.headers["Content-Type"], "application/json");
assert.equal(one.request.body.type, created);
assert.equal(one.request.body.data.id, "app-0");
assert.equal(one.response.statusCode, 500);
assert.equal(typeof one.response.body, "string");
console.log("delivery");

// Resend: done when it is answered, as a delivery of its own.
const resent = await webhooks.resendWebhookDelivery(id, failed.id);
assert.equal(resent.status, 201);
assert.notEqual(resent.data.id, failed.id);
assert.deepEqual([resent.data.webhookId, resent.data.eventType, resent.data.status], [id, created, "success"]);
assert.equal(resent.data.response.statusCode, 200);
assert.deepEqual(resent.data.request.body, one.request.body);
await until("the resent delivery", async () => (await deliveries({ status: "success" })).some((d) => d.id === resent.data.id));
assert.equal((await webhooks.getWebhookDelivery(id, failed.id, fresh)).data.status, "fail"); // history stays what it was
console.log("resend");

const removed = await webhooks.deleteWebhook(id);
assert.equal(removed.status, 204);
assert.ok(!removed.data);
assert.deepEqual(await list({}), []);
console.log("delete");

// Errors, as the client hands them on.
for (const call of [
  () => webhooks.getWebhook(id, fresh), () => webhooks.deleteWebhook(id), () => webhooks.getWebhookDeliveries(id, {}, fresh),
  () => webhooks.resendWebhookDelivery(id, failed.id),
]) {
  const gone = await caught(call());
  assert.equal(gone.status, 404);
  assert.deepEqual(gone.data.errors.map((e) => e.code), ["NOT_FOUND"]);
  assert.match(gone.data.traceId, /^[0-9a-f]{32}$/);
}
const stranger = createQlikApi({ hostConfig: { authType: "apikey", host: server, apiKey: "not-a-key-of-this-server" } }).webhooks;
const unknown = await caught(stranger.getWebhooks({}, fresh));
assert.equal(unknown.status, 401);
assert.deepEqual(unknown.data.errors.map((e) => e.code), ["UNAUTHORIZED"]);
console.log("errors");
