// Judges deliveries by verifiers that receivers use. The argument is a file of [{"name","header","body","present","old","strange","wrongTime"}]:
// a delivery, the secret that its webhook had, those that were rotated out and still signed, and those that must not verify. One of a
// wrong time must not verify by Standard Webhooks; the other families sign no time.
//
// Standard Webhooks: the project's own library. Esri's header has the form that LINE signs with (base64 of the HMAC of the raw body),
// Qlik's, with the algorithm's name before it, the form that GitHub signs with (hex): their own libraries verify both. Qlik's published
// sample is there as it is written, too: hex of the HMAC over the raw body, compared in constant time.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { validateSignature } from "@line/bot-sdk";
import { verify as verifyGitHub } from "@octokit/webhooks-methods";
import { Webhook } from "standardwebhooks";

function standard(secret, header, body) {
  // A raw key is given as bytes: of a text the library takes one byte a character, which is UTF-8 of ASCII only.
  const webhook = secret.startsWith("whsec_") ? new Webhook(secret) : new Webhook(new TextEncoder().encode(secret), { format: "raw" });
  try {
    webhook.verify(body, header);
    return true;
  } catch {
    return false;
  }
}

function esri(secret, header, body) {
  const [algorithm, ...value] = header["x-esrihook-signature"].split("=");
  return algorithm === "sha256" && validateSignature(body, secret, value.join("="));
}

async function qlik(secret, header, body) {
  const signature = header["qlik-signature"];
  const byGitHub = await verifyGitHub(secret, body, "sha256=" + signature);
  const calculated = Buffer.from(createHmac("sha256", secret).update(body).digest("hex"), "utf8");
  const given = Buffer.from(signature, "utf8");
  const bySample = calculated.length === given.length && timingSafeEqual(calculated, given);
  if (byGitHub !== bySample) throw new Error("the judges differ");
  return bySample;
}

let judged = 0;
async function expect(wanted, what, verify, secret, delivery, body = delivery.body) {
  judged++;
  if ((await verify(secret, delivery.header, body)) !== wanted) {
    throw new Error(`${delivery.name}: ${what} ${wanted ? "does not verify" : "verifies"}`);
  }
}

for (const delivery of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  const own = "qlik-signature" in delivery.header ? qlik : esri;
  for (const verify of [standard, own]) {
    await expect(verify !== standard || !delivery.wrongTime, verify.name + " by the present secret", verify, delivery.present, delivery);
    await expect(false, verify.name + " of another body", verify, delivery.present, delivery, delivery.body + " ");
    for (const secret of delivery.strange) await expect(false, verify.name + " by a secret that does not sign", verify, secret, delivery);
  }
  for (const secret of delivery.old) {
    await expect(!delivery.wrongTime, "standard by a rotated secret", standard, secret, delivery);
    await expect(false, own.name + " by a rotated secret", own, secret, delivery);
  }
}
console.log(`${judged} judgements`);
