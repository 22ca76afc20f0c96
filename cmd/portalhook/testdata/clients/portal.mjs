// What the programs beside this one need that is not a Qlik client's business: to be the portal's backend, and to wait.

// emit tells the server what happened; the answer comes when the event and its deliveries are on disk.
export async function emit(server, key, event) {
  const answer = await fetch(`${server}/api/v1/events`, {
    method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" }, body: JSON.stringify(event),
  });
  const text = await answer.text();
  if (answer.status !== 202) throw new Error(`emit: ${answer.status}: ${text}`);
  return JSON.parse(text);
}

// until asks again until the answer is true, and gives it; it gives up after a minute, which is long on a busy machine.
export async function until(what, ask) {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((next) => setTimeout(next, 20))) {
    const answer = await ask();
    if (answer) return answer;
  }
  throw new Error(`waited a minute for ${what}`);
}

// caught gives the error that a promise is rejected with.
export async function caught(promise) {
  let value;
  try {
    value = await promise;
  } catch (err) {
    return err;
  }
  throw new Error(`no error, but ${JSON.stringify(value)}`);
}
