// Asking the server, and telling it what to change.

let token = document.querySelector("meta[name=dedup-token]").content;
export const store = document.querySelector("meta[name=dedup-store]").content;

// No answer, or one that was cut off: the server may be away, and back in a moment.
export class Unanswered extends Error {}
export class Refused extends Error {}
// By now the server shows another store than this page does: what was to be written waits for its own.
export class OtherStore extends Refused {}

export async function get(path, parameters, options = {}) {
  const query = parameters ? `?${parameters}` : "";
  return answer(await asked(`${path}${query}`, { headers: { accept: "application/json" }, ...options }));
}

// A write waits for its answer; one refused because the server was started anew is sent once more with a new token.
export async function post(path, body, again = true) {
  const response = await asked(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-dedup-token": token, "x-dedup-store": store },
    body: JSON.stringify(body),
  });
  if (response.status === 403 && again) {
    token = (await get("/api/token")).token;
    return post(path, body, false);
  }
  return answer(response);
}

async function asked(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered("The server does not answer.");
  }
}

async function answer(response) {
  const said = await response.json().catch(() => null);
  if (!response.ok) throw new (response.status === 412 ? OtherStore : Refused)(said?.error ?? `the server answered ${response.status}`);
  if (!said) throw new Unanswered("The answer of the server was cut off.");
  return said;
}
