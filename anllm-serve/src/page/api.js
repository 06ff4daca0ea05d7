// The server, as the page asks it: the same paths that every client has.

const headers = (key) => ({
  "content-type": "application/json",
  ...(key ? { authorization: `Bearer ${key}` } : {}),
});

async function refused(response) {
  const answer = await response.json().catch(() => null);
  const later = response.headers.get("retry-after");
  const again = response.status === 429 && later ? ` (again in ${later} s)` : "";
  return new Error((answer?.error?.message ?? `the server answered ${response.status}`) + again);
}

/** The model that is served. */
export async function about(key) {
  const response = await fetch("/v1/models", { headers: headers(key) });
  if (!response.ok) throw await refused(response);
  return (await response.json()).data[0];
}

/** Asks for a stream, and hands each chunk to `hear`. */
export async function ask(path, body, key, signal, hear) {
  const response = await fetch(path, { method: "POST", headers: headers(key), body: JSON.stringify(body), signal });
  if (!response.ok) throw await refused(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    held += value;
    const events = held.split("\n\n");
    held = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data: ")).map((line) => line.slice(6)).join("\n");
      if (!data || data === "[DONE]") continue;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      hear(chunk);
    }
  }
}
