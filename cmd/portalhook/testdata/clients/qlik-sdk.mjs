// All ten operations of the webhooks API through @qlik/sdk, which Qlik offered before @qlik/api: node qlik-sdk.mjs SERVER KEY RECEIVER.
// The receiver answers 500 to the first request and 200 to all others. Prints a line for each part that held; an assertion that fails ends it.
import assert from "node:assert/strict";
import { AuthType } from "@qlik/sdk";
import { Webhooks } from "@qlik/sdk/webhooks";
import { caught, emit, until } from "./portal.mjs";

const [server, key, receiver] = process.argv.slice(2);
const connect = (apiKey) => new Webhooks({ authType: AuthType.APIKey, host: server, apiKey });
const webhooks = connect(key);
const created = "com.qlik.v1.app.created";
const deleted = "com.qlik.v1.app.deleted";

const types = await webhooks.getEventTypes();
assert.equal(types.data[0].name, created);
console.log("event types");

const hook = await webhooks.create({
  name: "reloads", url: `${receiver}/hook`, eventTypes: [created, deleted], enabled: true, secret: "0123456789abcdef0123456789abcdef",
  headers: { "x-env": "prod" }, retry: "once",
});
const { id } = hook;
assert.deepEqual([hook.level, hook.enabled, hook.secretKeyAdded, hook.secret], ["tenant", true, true, undefined]);
console.log("create");

assert.deepEqual({ ...(await webhooks.get(id)) }, { ...hook });
console.log("get");

// Its iterator appends "&limit=…" and the query, as it stands, to the address of the next page.
for (let i = 0; i < 6; i++) await webhooks.create({ name: `extra ${i}`, url: `${receiver}/hook`, eventTypes: [deleted] });
const walk = async (list) => {
  const found = [];
  for await (const item of list.pagination) found.push(item);
  return found;
};
for (const query of [{ limit: 1, sort: "+name" }, { limit: 2, sort: "-name", eventType: deleted }, { limit: 3 }, { sort: "-createdAt", limit: 4, name: "RA 1" }]) {
  const got = (await walk(await webhooks.getWebhooks(query))).map((w) => w.name);
  let want = ["extra 0", "extra 1", "extra 2", "extra 3", "extra 4", "extra 5", "reloads"].filter((name) => name.includes((query.name ?? "").toLowerCase()));
  if (!query.sort) want = ["extra 5", "extra 4", "extra 3", "extra 2", "extra 1", "extra 0", "reloads"];
  if (query.sort === "-name") want.reverse();
  assert.deepEqual(got, want, JSON.stringify(query));
}
const [first] = await webhooks.getWebhooks();
assert.equal(first.name, "extra 5");
console.log("list");

await hook.patch([{ op: "replace", path: "/description", value: "patched" }, { op: "replace", path: "/enabled", value: false }]);
assert.deepEqual([(await webhooks.get(id)).description, (await webhooks.get(id)).enabled], ["patched", false]);
console.log("patch");

const set = await hook.set({ name: "replaced", url: `${receiver}/set`, eventTypes: [created, deleted], enabled: true, retry: "once" });
assert.deepEqual([set.name, set.id], ["replaced", id]);
const { secretKeyAdded, headers, enableCloudEventDelivery } = await webhooks.get(id);
assert.deepEqual([secretKeyAdded, headers, enableCloudEventDelivery], [false, {}, true]); // it is too old to know of the last
console.log("put");

for (const [n, uri] of [created, deleted].entries()) {
  await emit(server, key, { uri, data: { id: `app-${n}` } });
  await until(`delivery ${n}`, async () => (await hook.getDeliveries()).length === n + 1);
}
const kinds = (list) => list.map((d) => d.eventType);
assert.deepEqual(kinds(await walk(await hook.getDeliveries({ limit: 1, sort: "+triggeredAt" }))), [created, deleted]);
assert.deepEqual(kinds(await walk(await hook.getDeliveries({ limit: 1, sort: "-triggeredAt" }))), [deleted, created]);
const [failed] = await hook.getDeliveries({ status: "fail", eventType: created });
const one = await hook.getDelivery(failed.id);
assert.deepEqual([one.status, one.response.statusCode, one.request.url], ["fail", 500, `${receiver}/set`]);
console.log("deliveries");

const resent = await hook.resendDelivery(failed.id);
assert.equal(resent.status, "success");
assert.notEqual(resent.id, failed.id);
console.log("resend");

await hook.delete();
console.log("delete");

const gone = await caught(webhooks.get(id));
assert.deepEqual([gone.name, gone.status, gone.errors.map((e) => e.code)], ["NotFoundError", 404, ["NOT_FOUND"]]);
const stranger = await caught(connect("not-a-key-of-this-server").getWebhooks());
assert.deepEqual([stranger.name, stranger.status, stranger.errors.map((e) => e.code)], ["AuthenticationError", 401, ["UNAUTHORIZED"]]);
console.log("errors");
