// Emits an event of a cloud type and one of the portal's in each HTTP mode of CloudEvents, written by the official SDK:
// node emit.mjs URL KEY. Prints a mode and the status of its last answer on each line.
import { CloudEvent, HTTP } from "cloudevents";

const [url, key] = process.argv.slice(2);

const events = (mode) => [
  new CloudEvent({
    id: `${mode}-cloud`, source: "com.qlik/engine", type: "com.qlik.v1.app.created", time: "2025-05-26T11:48:27.521Z",
    datacontenttype: "application/json", ownerid: "o-1", data: { mode, text: "é ☃", number: 1.5 },
  }),
  new CloudEvent({
    id: `${mode}-portal`, source: "https://portal.example.com/", type: "/items/share",
    subject: "/items/4adc30bb03054812a846fa592de105de/share", datacontenttype: "application/json",
    data: { username: "jdoe", properties: { sharedToGroups: ["Everyone"] } },
  }),
];

async function post(headers, body) {
  const answer = await fetch(url, { method: "POST", headers: { ...headers, authorization: `Bearer ${key}` }, body });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`${answer.status}: ${text}`);
  return answer.status;
}

async function each(mode, write) {
  let status;
  for (const event of events(mode)) {
    const { headers, body } = write(event);
    status = await post(headers, body);
  }
  console.log(mode, status);
}

await each("binary", HTTP.binary);
await each("structured", HTTP.structured);
// The SDK reads batches and has no writer for them: a batch is the array of its own JSON.
console.log("batch", await post({ "content-type": "application/cloudevents-batch+json" }, JSON.stringify(events("batch"))));
