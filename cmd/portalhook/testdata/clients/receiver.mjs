// A receiver as a customer of Qlik's writes one, without a library: node receiver.mjs SECRET. It prints its address, and then a line
// for each request: the status it answered and why.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const [secret] = process.argv.slice(2);

// verify says what is wrong with a request, as a status and a reason. The body is that which came, byte for byte.
function verify(headers, body) {
  if (headers["content-type"] !== "application/json") return [415, `content type ${headers["content-type"]}`];
  if (headers["user-agent"] !== "Qlik Webhook") return [400, `user agent ${headers["user-agent"]}`];
  const signature = headers["qlik-signature"];
  if (!signature || body.length === 0) return [400, "no signature"];
  const expected = createHmac("sha256", secret).update(body).digest("hex");
  const [a, b] = [Buffer.from(signature), Buffer.from(expected)];
  if (a.length !== b.length || !timingSafeEqual(a, b)) return [401, "wrong signature"];
  // A receiver whose framework has parsed the body already signs what it writes from that again.
  const again = JSON.stringify(JSON.parse(body.toString("utf8")));
  if (createHmac("sha256", secret).update(again).digest("hex") !== signature) return [422, `not the bytes of JSON.stringify: ${body}`];
  const event = JSON.parse(again);
  return [200, event.type ?? event.eventType];
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const [status, reason] = verify(request.headers, Buffer.concat(chunks));
  console.log(status, request.url, reason);
  response.writeHead(status, { "content-type": "text/plain" }).end(reason);
});
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
