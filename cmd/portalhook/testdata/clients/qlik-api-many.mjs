// A thousand webhooks listed, filtered and paged through @qlik/api while others are made, changed and deleted:
// node qlik-api-many.mjs SERVER KEY. Those that are there all the time must be found once each, in order, whichever way one goes.
// Prints a line for each list that held; an assertion that fails ends it.
import assert from "node:assert/strict";
import { createQlikApi } from "@qlik/api";

const [server, key] = process.argv.slice(2);
const { webhooks } = createQlikApi({ hostConfig: { authType: "apikey", host: server, apiKey: key } });
const fresh = { noCache: true };
const kinds = ["created", "deleted", "exported"].map((kind) => `com.qlik.v1.app.${kind}`);

// Few names and few urls, so that many webhooks have the same; their case differs, and the page must not care.
let made = 0;
const body = () => {
  const n = made++;
  return {
    name: `${["Hook", "hook", "HÖOK", "Zz"][n % 4]} ${n % 37}`, url: `https://r${n % 23}.example.com/${["a", "B"][n % 2]}`, enabled: n % 3 === 0,
    eventTypes: kinds.slice(0, 1 + (n % 3)), origin: ["api", "automations", "management-console"][n % 3], level: n % 6 ? "tenant" : "user", // only the first kind has user level
  };
};
const create = async () => (await webhooks.createWebhook(body())).data;
const atOnce = async (count, workers, work) => {
  const results = [];
  await Promise.all(Array.from({ length: workers }, async () => {
    while (count-- > 0) results.push(await work());
  }));
  return results;
};
const steady = await atOnce(1000, 8, create);
const passing = await atOnce(40, 8, create); // these come and go
const changed = new Set();

// churn makes one, deletes one and changes one. It likes to delete what stood at the end of the page just read.
async function churn(page) {
  const at = page ? passing.findIndex((w) => [page.data.data[0]?.id, page.data.data.at(-1)?.id].includes(w.id)) : -1;
  const [gone] = passing.splice(Math.max(at, 0), 1);
  const other = passing[passing.length >> 1];
  changed.add(other.id);
  await Promise.all([
    create().then((w) => passing.push(w)), webhooks.deleteWebhook(gone.id),
    webhooks.patchWebhook(other.id, [{ op: "replace", path: "/description", value: gone.id }]),
  ]);
}

// walk follows the links one way; meanwhile is done while each page is asked for.
async function walk(page, way, meanwhile = churn) {
  const rows = [];
  for (;;) {
    rows.push(...(way === "next" ? page.data.data : page.data.data.toReversed()));
    if (!page[way]) return { rows, last: page };
    [page] = await Promise.all([page[way](fresh), meanwhile(page)]);
  }
}

function check(what, rows, want, { column, down }) {
  const seen = new Map();
  for (const { id } of rows) seen.set(id, (seen.get(id) ?? 0) + 1);
  assert.deepEqual(want.filter((w) => !seen.has(w.id)).map((w) => w.id), [], `${what}: missed`);
  assert.deepEqual([...seen].filter(([id, times]) => times > 1 && !changed.has(id)), [], `${what}: came twice`);
  const values = rows.filter((w) => !changed.has(w.id)).map((w) => Buffer.from(w[column].toLowerCase()));
  if (down) values.reverse();
  for (let i = 1; i < values.length; i++) assert.ok(Buffer.compare(values[i - 1], values[i]) <= 0, `${what}: ${values[i - 1]} before ${values[i]}`);
}

const limit = 89;
for (const column of ["createdAt", "name", "updatedAt", "url"]) {
  for (const sign of ["+", "-"]) {
    const sort = sign + column;
    const forth = await walk(await webhooks.getWebhooks({ sort, limit }, fresh), "next");
    check(`${sort} forth`, forth.rows, steady, { column, down: sign === "-" });
    const back = await walk(forth.last, "prev");
    check(`${sort} back`, back.rows, steady, { column, down: sign === "+" });
    console.log(sort);
  }
}

for (const [what, query, keep] of [
  ["name", { name: "hook 3" }, (w) => w.name.toLowerCase().includes("hook 3")],
  ["url", { url: "R1.EXAMPLE" }, (w) => w.url.includes("r1.example")],
  ["enabled", { enabled: true, sort: "+name" }, (w) => w.enabled],
  ["eventTypes", { eventTypes: kinds.slice(0, 2), sort: "-updatedAt" }, (w) => w.eventTypes.includes(kinds[1])],
  ["origins", { origins: ["api", "automations"], sort: "url" }, (w) => w.origin !== "management-console"],
  ["level", { level: "user", enabled: true }, (w) => w.level === "user"],
]) {
  const { sort = "-createdAt" } = query;
  const { rows } = await walk(await webhooks.getWebhooks({ ...query, limit: 41 }, fresh), "next");
  assert.ok(rows.every(keep), `${what}: a webhook that the filter should hold back`);
  check(what, rows, steady.filter(keep), { column: sort.replace(/^[+-]/, ""), down: sort.startsWith("-") });
  console.log(what);
}

// When all is quiet, what is there is what was made and not deleted; the client deletes it.
const left = (await walk(await webhooks.getWebhooks({ limit: 100 }, fresh), "next", () => {})).rows.map((w) => w.id);
assert.deepEqual(left.toSorted(), [...steady, ...passing].map((w) => w.id).sort());
await atOnce(left.length, 8, () => webhooks.deleteWebhook(left.pop()));
